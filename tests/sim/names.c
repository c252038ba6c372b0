/* Names, folders and trees of the disk in memory: what sys/file_tree.c is to a real one. See disk.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "disk_priv.h"

/* ---- folders ---- */

struct inode *names_find(const struct names *n, const char *text)
{
        for (size_t i = 0; i < n->count; i++)
                if (!strcmp(n->list[i].text, text))
                        return n->list[i].node;
        return NULL;
}

static void names_remove(struct names *n, const char *text)
{
        for (size_t i = 0; i < n->count; i++)
                if (!strcmp(n->list[i].text, text)) {
                        n->list[i] = n->list[--n->count];
                        return;
                }
}

void names_copy(struct names *to, const struct names *from)
{
        if (from->count > to->room) {
                to->room = from->room;
                free(to->list);
                to->list = malloc(to->room * sizeof to->list[0]);
                assert(to->list);
        }
        if (from->count)
                memcpy(to->list, from->list, from->count * sizeof to->list[0]);
        to->count = from->count;
}

void naming_apply(struct names *n, const struct naming *what)
{
        struct name *added;

        if (what->kind != NAME_LINK)
                names_remove(n, what->from);
        if (what->kind == NAME_UNLINK)
                return;
        names_remove(n, what->to);
        added = LIST_ADD(n->list, n->count, n->room);
        snprintf(added->text, NAME_SIZE, "%s", what->to);
        added->node = what->node;
}

void naming_do(struct inode *dir, int kind, const char *from, const char *to, struct inode *n)
{
        struct naming *what = LIST_ADD(dir->namings, dir->namings_count, dir->namings_room);

        *what = (struct naming){ .kind = kind, .when = ++disk->namings_made, .node = n };
        snprintf(what->from, NAME_SIZE, "%s", from);
        snprintf(what->to, NAME_SIZE, "%s", to);
        naming_apply(&dir->names, what);
        disk_trace("%s %s -> %s", kind == NAME_LINK ? "make" : kind == NAME_UNLINK ? "remove" : "rename", from, to);
        op_changed();
}

struct inode *path_find(const char *path, struct inode **ret_parent, const char **ret_name)
{
        static char text[NAME_SIZE];
        struct inode *at = disk->root, *parent = NULL;

        assert(*path == '/');
        text[0] = '\0';
        while (*path) {
                const char *end = strchrnul(++path, '/');

                if (end > path) {
                        assert(end - path < NAME_SIZE);
                        memcpy(text, path, (size_t)(end - path));
                        text[end - path] = '\0';
                        parent = at && at->is_dir ? at : NULL;
                        at = parent ? names_find(&parent->names, text) : NULL;
                }
                path = end;
        }
        if (ret_parent)
                *ret_parent = parent;
        if (ret_name)
                *ret_name = text;
        return at;
}

/* ---- sys/file.h: names ---- */

int file_sync_dir(const char *path)
{
        struct inode *n;
        int r;

        if (disk_hooks.pause)
                disk_hooks.pause(DISK_SYNC_DIR, true);
        r = op_begin(DISK_SYNC_DIR);
        if (r)
                return r;
        n = path_find(path, NULL, NULL);
        if (!n)
                return -ENOENT;
        assert(n->is_dir);
        if (n->namings_count) {
                names_copy(&n->stable_names, &n->names);
                n->namings_count = 0;
                disk_trace("sync of folder %s", path);
                op_changed();
        }
        if (disk_hooks.pause)
                disk_hooks.pause(DISK_SYNC_DIR, false);
        sync_interrupted();
        return 0;
}

int file_rename(const char *from, const char *to)
{
        struct inode *n, *over, *from_dir, *to_dir;
        char from_name[NAME_SIZE];
        const char *name;
        int r = op_begin(DISK_RENAME);

        if (r)
                return r;
        n = path_find(from, &from_dir, &name);
        if (!n)
                return -ENOENT;
        snprintf(from_name, sizeof from_name, "%s", name);
        over = path_find(to, &to_dir, &name);
        if (!to_dir)
                return -ENOENT;
        assert(from_dir == to_dir); /* nobody moves a file to another folder */
        if (over && over->is_dir)
                return over->names.count ? -ENOTEMPTY : -EISDIR;
        naming_do(to_dir, NAME_RENAME, from_name, name, n);
        return 0;
}

static int unlink_one(struct inode *dir, const char *name)
{
        int r = op_begin(DISK_UNLINK);

        if (!r)
                naming_do(dir, NAME_UNLINK, name, "", NULL);
        return r;
}

int file_unlink(const char *path)
{
        struct inode *parent;
        const char *name;
        const struct inode *n = disk->dead ? NULL : path_find(path, &parent, &name);

        if (disk->dead)
                return -EIO;
        if (!n)
                return 0;
        return n->is_dir ? -EISDIR : unlink_one(parent, name);
}

int file_mkdirs(const char *path)
{
        struct inode *at = disk->root;
        char text[NAME_SIZE];

        assert(*path == '/');
        while (*path) {
                const char *end = strchrnul(++path, '/');
                struct inode *next;
                int r;

                snprintf(text, sizeof text, "%.*s", (int)(end - path), path);
                next = names_find(&at->names, text);
                if (!next) {
                        r = op_begin(DISK_CREATE);
                        if (r)
                                return r;
                        next = inode_new(true);
                        naming_do(at, NAME_LINK, "", text, next);
                }
                if (!next->is_dir)
                        return -ENOTDIR;
                at = next;
                path = end;
        }
        return disk->dead ? -EIO : 0;
}

static int tree_empty(struct inode *dir)
{
        while (dir->names.count) {
                struct name first = dir->names.list[chance_below(&disk->chance, dir->names.count)];
                int r = first.node->is_dir ? tree_empty(first.node) : 0;

                if (!r)
                        r = unlink_one(dir, first.text);
                if (r)
                        return r;
        }
        return 0;
}

int file_remove_tree(const char *path)
{
        struct inode *parent;
        const char *name;
        struct inode *n;
        char text[NAME_SIZE];
        int r = 0;

        if (disk->dead)
                return -EIO;
        n = path_find(path, &parent, &name);
        if (!n)
                return 0;
        snprintf(text, sizeof text, "%s", name);
        if (n->is_dir)
                r = tree_empty(n);
        return r ? r : unlink_one(parent, text);
}

/* In any order, as a folder lists its names. */
int file_list(const char *path, int (*fn)(void *arg, const char *name), void *arg)
{
        const struct inode *n = disk->dead ? NULL : path_find(path, NULL, NULL);
        struct names copy = { 0 };
        int r = 0;

        if (disk->dead)
                return -EIO;
        if (!n)
                return -ENOENT;
        names_copy(&copy, &n->names);
        while (!r && copy.count) {
                size_t i = chance_below(&disk->chance, copy.count);
                struct name one = copy.list[i];

                copy.list[i] = copy.list[--copy.count];
                r = fn(arg, one.text);
        }
        free(copy.list);
        return r;
}

static void print_node(const struct inode *n, const char *name, int depth)
{
        fprintf(stderr, "    %*s%s", depth * 4, "", name);
        if (!n->is_dir)
                fprintf(stderr, " %lld (%lld synced)", (long long)n->live.size, (long long)n->stable.size);
        fprintf(stderr, "\n");
        for (size_t i = 0; i < n->names.count; i++)
                print_node(n->names.list[i].node, n->names.list[i].text, depth + 1);
}

void disk_print(void)
{
        print_node(disk->root, "/", 0);
}
