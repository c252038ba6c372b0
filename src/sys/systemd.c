/* Notifications to the service manager. A failure to notify is not ours to mend: systemd has time-outs for it. */
#include "sys/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "sys/clock.h"

enum { STATE_SIZE = 600 };

/* What comes again and again must not wait, as sd_notify() does when nobody takes it up: a manager that hangs would take the node
 * along. Then it is lost. */
static void notify_or_not(const char *state)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        size_t len = path ? strlen(path) : 0;
        int fd;

        if (!len || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
                return;
        memcpy(to.sun_path, path, len);
        if (path[0] == '@')
                to.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return;
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
        (void)close(fd);
}

void systemd_ready(const char *status)
{
        (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void systemd_status(const char *fmt, ...)
{
        char state[STATE_SIZE] = "STATUS=";
        size_t len = strlen(state);
        va_list args;

        va_start(args, fmt);
        vsnprintf(state + len, sizeof state - len, fmt, args);
        va_end(args);
        notify_or_not(state);
}

void systemd_extend(int64_t ms)
{
        char state[64];

        snprintf(state, sizeof state, "EXTEND_TIMEOUT_USEC=%lld", (long long)ms * 1000);
        notify_or_not(state);
}

void systemd_reloading(void)
{
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_mono_ns() / 1000));
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
        notify_or_not("WATCHDOG=1");
}

int systemd_inhibit_shutdown(const char *who, const char *why, int *ret_fd, char ret_error[256])
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *answer = NULL;
        sd_bus *bus = NULL;
        int r = sd_bus_open_system(&bus), fd;

        if (r >= 0)
                r = sd_bus_call_method(bus, "org.freedesktop.login1", "/org/freedesktop/login1",
                                       "org.freedesktop.login1.Manager", "Inhibit", &error, &answer, "ssss", "shutdown",
                                       who, why, "block");
        if (r >= 0)
                r = sd_bus_message_read(answer, "h", &fd);
        if (r >= 0) {
                *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message's own ends with it */
                r = *ret_fd < 0 ? -errno : 0;
        }
        if (r < 0)
                snprintf(ret_error, 256, "%s", error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        sd_bus_message_unref(answer);
        sd_bus_flush_close_unref(bus);
        return MIN2(r, 0);
}
