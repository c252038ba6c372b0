/* Notifications to the service manager. A failure to notify is not ours to mend: systemd has time-outs for it. */
#include "sys/systemd.h"

#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

enum { STATUS_SIZE = 512 };

void systemd_ready(const char *status)
{
        (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void systemd_status(const char *fmt, ...)
{
        char status[STATUS_SIZE];
        va_list args;

        va_start(args, fmt);
        vsnprintf(status, sizeof status, fmt, args);
        va_end(args);
        (void)sd_notifyf(0, "STATUS=%s", status);
}

void systemd_extend(int64_t ms)
{
        (void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%lld", (long long)ms * 1000);
}

void systemd_stopping(void)
{
        (void)sd_notify(0, "STOPPING=1");
}

int64_t systemd_watchdog_ms(void)
{
        uint64_t us = 0;

        if (sd_watchdog_enabled(0, &us) <= 0)
                return 0;
        return us < 2000 ? 1 : (int64_t)(us / 2000);
}

void systemd_watchdog_ping(void)
{
        (void)sd_notify(0, "WATCHDOG=1");
}
