/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/definition-files.h"

#include <string.h>

#include "smb/share-url.h"
#include "src/vm/domain.h"

#define SCHEME    "smb://"
#define NVRAM_DIR "/var/lib/libvirt/qemu/nvram"
#define SWTPM_DIR "/var/lib/libvirt/swtpm"

/* ---- reading a tree ---- */

static gboolean
is_named(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && node->ns == NULL &&
           strcmp((const char *)node->name, name) == 0;
}

xmlNode *
vmf_xml_child(const xmlNode *node, const char *name)
{
    for (xmlNode *at = node != NULL ? node->children : NULL; at != NULL; at = at->next)
        if (is_named(at, name))
            return at;
    return NULL;
}

xmlNode *
vmf_xml_next(const xmlNode *node)
{
    for (xmlNode *at = node->next; at != NULL; at = at->next)
        if (is_named(at, (const char *)node->name))
            return at;
    return NULL;
}

xmlNode *
vmf_xml_at(const xmlNode *node, const char *path)
{
    g_auto(GStrv) steps = g_strsplit(path, "/", -1);
    xmlNode *at = (xmlNode *)node;
    for (guint i = 0; at != NULL && steps[i] != NULL; i++)
        at = vmf_xml_child(at, steps[i]);
    return at;
}

gchar *
vmf_xml_value(const xmlNode *node, const char *attribute)
{
    g_autoptr(xmlChar) value = node != NULL ? xmlGetNoNsProp(node, (const xmlChar *)attribute)
                                            : NULL;
    return g_strdup(value != NULL ? (const char *)value : "");
}

gchar *
vmf_xml_text(const xmlNode *node)
{
    g_autoptr(xmlChar) text = node != NULL ? xmlNodeGetContent(node) : NULL;
    return g_strstrip(g_strdup(text != NULL ? (const char *)text : ""));
}

/* ---- files ---- */

static VmfFactFile *
add_file(VmfFactVm *vm, VmfFactRole role, const xmlNode *node, const char *target,
         const char *place)
{
    VmfFactFile *file = vmf_fact_file_new();
    file->role = role;
    file->line = node != NULL ? (guint)xmlGetLineNo(node) : 0;
    vmf_fact_set(&file->target, target);
    vmf_fact_set(&file->place, place);
    g_autoptr(VmfShareUrl) url = g_str_has_prefix(place, SCHEME) ? vmf_share_url_parse(place, NULL)
                                                                 : NULL;
    vmf_fact_set(&file->url, url != NULL ? url->url : "");
    g_ptr_array_add(vm->files, file);
    return file;
}

/* "/var/lib/x.raw", "smb://…", "rbd:pool/image", "pool:volume" */
static gchar *
source_place(const xmlNode *source)
{
    static const char *const paths[] = {"file", "dev", "dir", "path"};
    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree gchar *value = vmf_xml_value(source, paths[i]);
        if (value[0] != '\0')
            return g_steal_pointer(&value);
    }
    g_autofree gchar *protocol = vmf_xml_value(source, "protocol");
    g_autofree gchar *name = vmf_xml_value(source, "name");
    g_autofree gchar *pool = vmf_xml_value(source, "pool");
    g_autofree gchar *volume = vmf_xml_value(source, "volume");
    if (protocol[0] != '\0')
        return g_strdup_printf("%s:%s", protocol, name);
    return pool[0] != '\0' ? g_strdup_printf("%s:%s", pool, volume) : g_strdup("");
}

/* The share that the metadata name for a target. */
static const xmlNode *
metadata_disk(const xmlNode *root, const char *target)
{
    const xmlNode *metadata = vmf_xml_child(root, "metadata");
    for (const xmlNode *vm = metadata != NULL ? metadata->children : NULL; vm; vm = vm->next) {
        if (vm->ns == NULL || strcmp((const char *)vm->ns->href, VMF_DOMAIN_NAMESPACE) != 0)
            continue;
        for (const xmlNode *disk = vm->children; disk != NULL; disk = disk->next) {
            g_autofree gchar *its = disk->type == XML_ELEMENT_NODE ? vmf_xml_value(disk, "target")
                                                                   : NULL;
            if (g_strcmp0(its, target) == 0)
                return disk;
        }
    }
    return NULL;
}

/* Behind the VM's own socket, of which a model that passed has made sure (domain.c). */
static gboolean
is_behind_socket(const xmlNode *source)
{
    g_autofree gchar *protocol = vmf_xml_value(source, "protocol");
    g_autofree gchar *transport = vmf_xml_value(vmf_xml_child(source, "host"), "transport");
    return strcmp(protocol, "nbd") == 0 && strcmp(transport, "unix") == 0;
}

static void
add_backing(VmfFactVm *vm, const xmlNode *disk, const char *target)
{
    const xmlNode *backing = vmf_xml_child(disk, "backingStore");
    for (guint level = 0; backing != NULL && level < 64; level++) {
        const xmlNode *source = vmf_xml_child(backing, "source");
        if (source != NULL) {
            g_autofree gchar *place = source_place(source);
            add_file(vm, VMF_FACT_ROLE_BACKING, source, target, place);
        }
        backing = vmf_xml_child(backing, "backingStore");
    }
}

/* 'vmferry define' writes these for a disk on a share that does not say them (domain-edit.c). */
static void
set_defaults(VmfFactFile *file)
{
    if (file->cache[0] == '\0')
        vmf_fact_set(&file->cache, "none");
    if (file->error_policy[0] == '\0')
        vmf_fact_set(&file->error_policy, "stop");
}

static void
add_disk(const xmlNode *root, const xmlNode *disk, gboolean as_written, VmfFactVm *vm)
{
    const xmlNode *source = vmf_xml_child(disk, "source"), *driver = vmf_xml_child(disk, "driver");
    g_autofree gchar *device = vmf_xml_value(disk, "device");
    g_autofree gchar *target = vmf_xml_value(vmf_xml_child(disk, "target"), "dev");
    g_autofree gchar *place = source_place(source);
    gboolean removable = device[0] != '\0' && strcmp(device, "disk") != 0;
    if (removable && place[0] == '\0')
        return; /* no medium */
    const xmlNode *share = !removable && is_behind_socket(source) ? metadata_disk(root, target)
                                                                  : NULL;
    g_autofree gchar *url = vmf_xml_value(share, "url");
    VmfFactFile *file = add_file(vm, removable ? VMF_FACT_ROLE_CDROM : VMF_FACT_ROLE_DISK, disk,
                                 target, url[0] != '\0' ? url : place);
    g_free(file->format);
    g_free(file->cache);
    g_free(file->error_policy);
    file->format = vmf_xml_value(driver, "type");
    file->cache = vmf_xml_value(driver, "cache");
    file->error_policy = vmf_xml_value(driver, "error_policy");
    /* the disk process takes each of its disks deny-write, whatever the guest may do with it */
    file->writable = !removable && (share != NULL || vmf_xml_child(disk, "readonly") == NULL);
    if (as_written && g_str_has_prefix(place, SCHEME))
        set_defaults(file);
    add_backing(vm, disk, target);
}

static void
add_boot_files(const xmlNode *os, VmfFactVm *vm)
{
    static const char *const names[] = {"kernel", "initrd", "dtb"};
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        const xmlNode *node = vmf_xml_child(os, names[i]);
        g_autofree gchar *path = vmf_xml_text(node);
        if (path[0] != '\0')
            add_file(vm, VMF_FACT_ROLE_BOOT, node, names[i], path);
    }
}

static gboolean
has_variables(const xmlNode *os)
{
    const xmlNode *loader = vmf_xml_child(os, "loader");
    g_autofree gchar *firmware = vmf_xml_value(os, "firmware");
    g_autofree gchar *type = vmf_xml_value(loader, "type");
    g_autofree gchar *stateless = vmf_xml_value(loader, "stateless");
    return strcmp(stateless, "yes") != 0 &&
           (strcmp(firmware, "efi") == 0 || strcmp(type, "pflash") == 0);
}

/* The file of the firmware's variables; where none is named, libvirt makes one of the VM's name. */
static void
add_nvram(const xmlNode *os, VmfFactVm *vm)
{
    const xmlNode *nvram = vmf_xml_child(os, "nvram");
    if (nvram == NULL && !has_variables(os))
        return;
    const xmlNode *source = vmf_xml_child(nvram, "source");
    g_autofree gchar *path = source != NULL ? source_place(source) : vmf_xml_text(nvram);
    g_autofree gchar *own = g_strdup_printf(NVRAM_DIR "/%s_VARS.fd", vm->name);
    VmfFactFile *file = add_file(vm, VMF_FACT_ROLE_NVRAM, nvram != NULL ? nvram : os, "",
                                 path[0] != '\0' ? path : own);
    file->writable = TRUE;
}

static void
add_tpm(const xmlNode *tpm, VmfFactVm *vm)
{
    const xmlNode *backend = vmf_xml_child(tpm, "backend");
    g_autofree gchar *type = vmf_xml_value(backend, "type");
    g_autofree gchar *version = vmf_xml_value(backend, "version");
    if (strcmp(type, "emulator") != 0)
        return; /* a device or socket of the host: the table refuses it */
    g_autofree gchar *path = source_place(vmf_xml_child(backend, "source"));
    g_autofree gchar *own = g_strdup_printf(SWTPM_DIR "/%s/%s", vm->uuid,
                                            strcmp(version, "1.2") == 0 ? "tpm1.2" : "tpm2");
    VmfFactFile *file = add_file(vm, VMF_FACT_ROLE_TPM, tpm, "", path[0] != '\0' ? path : own);
    file->writable = TRUE;
}

/* ---- what vmferry keeps beside the disks ---- */

static gboolean
has_folder(const VmfFactVm *vm, const char *url)
{
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = g_ptr_array_index(vm->files, i);
        if (file->role == VMF_FACT_ROLE_FOLDER && strcmp(file->url, url) == 0)
            return TRUE;
    }
    return FALSE;
}

static void
add_beside(VmfFactVm *vm, VmfFactRole role, const char *folder, const char *name)
{
    g_autofree gchar *url = g_strconcat(folder, name, NULL);
    VmfFactFile *file = add_file(vm, role, NULL, "", url);
    vmf_fact_set(&file->url, url); /* a share's own root is no file, and yet a folder */
    file->writable = TRUE;
}

static void
add_folders(VmfFactVm *vm)
{
    guint disks = vm->files->len;
    gboolean first = TRUE;
    for (guint i = 0; i < disks; i++) {
        const VmfFactFile *disk = g_ptr_array_index(vm->files, i);
        if (disk->role != VMF_FACT_ROLE_DISK || disk->url[0] == '\0')
            continue;
        g_autofree gchar *folder = g_strndup(disk->url,
                                             (gsize)(strrchr(disk->url, '/') - disk->url));
        g_autofree gchar *record = g_strdup_printf("/.vmferry/%s.own", vm->uuid);
        if (first)
            add_beside(vm, VMF_FACT_ROLE_DEFINITION, folder, "/domain.xml");
        if (first && vm->uuid[0] != '\0')
            add_beside(vm, VMF_FACT_ROLE_RECORD, folder, record);
        if (!has_folder(vm, folder))
            add_beside(vm, VMF_FACT_ROLE_FOLDER, folder, "");
        first = FALSE;
    }
}

void
vmf_definition_files(xmlNode *root, gboolean as_written, VmfFactVm *vm)
{
    const xmlNode *os = vmf_xml_child(root, "os"), *devices = vmf_xml_child(root, "devices");
    for (xmlNode *at = vmf_xml_child(devices, "disk"); at != NULL; at = vmf_xml_next(at))
        add_disk(root, at, as_written, vm);
    add_nvram(os, vm);
    for (xmlNode *at = vmf_xml_child(devices, "tpm"); at != NULL; at = vmf_xml_next(at))
        add_tpm(at, vm);
    add_boot_files(os, vm);
    add_folders(vm);
}
