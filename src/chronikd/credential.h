/* Secrets in a file that the configuration names, or in a credential of systemd. */
#pragma once

#include "base/macros.h"

enum { CREDENTIAL_PATH_SIZE = 1200 };

/* Where the secret is: @file, when that is not empty, whether it is there or not; otherwise the credential @name, when the service
 * manager has given us one. False: nowhere. */
bool credential_find(const char *file, const char *name, char ret_path[CREDENTIAL_PATH_SIZE]);
