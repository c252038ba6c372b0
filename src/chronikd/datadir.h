/* Is server.data_dir ours to use? Asked before anything is made in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True when it is; otherwise @ret_why is what the operator should read. @roles: CONF_ROLE_..., what is to be in it. */
bool datadir_is_ours(const char *dir, unsigned roles, char *ret_why, size_t size);

/* Note in the folder that a node with @roles has kept its data in it, which the question above takes into account: a role that is new
 * to a node has nothing there yet. Blocks; when the folder is locked. Return: 0 or negative errno. */
int datadir_note_roles(const char *dir, unsigned roles);
