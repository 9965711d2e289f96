/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set.h"
#include "src/base/error.h"
#include "tests/unit/smb/share-memory.h"
int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    return g_test_run();
}
