/* What systemd is told. All of it is harmless when not started by systemd. */
#pragma once

#include "base/macros.h"

/* READY=1, with a status line. */
void systemd_ready(const char *status);
/* STATUS=...: the node's state in words. */
void systemd_status(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* EXTEND_TIMEOUT_USEC=: the start goes on and may take @ms longer, from now. */
void systemd_extend(int64_t ms);
/* RELOADING=1: files are read again; systemd_ready() ends it. */
void systemd_reloading(void);
void systemd_stopping(void);
/* Milliseconds between watchdog pings that are wanted (half of WatchdogSec), 0 for none. */
int64_t systemd_watchdog_ms(void);
void systemd_watchdog_ping(void);

/* Keep the machine from being shut down or booted anew, as far as systemd-logind can: who asks for it is told @why, which must not be
 * empty, and may insist. Blocks for the answer. @ret_fd: as long as it is open; file_close(). Return: 0; negative errno, with words for
 * people in @ret_error. */
int systemd_inhibit_shutdown(const char *who, const char *why, int *ret_fd, char ret_error[256]);
