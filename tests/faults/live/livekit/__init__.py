# SPDX-License-Identifier: GPL-3.0-or-later
"""What the live fault matrix stands on; the lab itself and its judges are tests/lab/labkit.

box       a host of the lab, reached fast: its processes, signals, commands, folders
points    where a move can be held, and the sockets that hold it there
faults    what can go wrong: how it is brought about, and how it is put right
scene     one guest between two hosts: moves, what is seen from outside, making good again
judge     what was seen, held against what may be
cells     which fault at which point on which side
results   one line per cell, and the table made of them
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "lab"))
