/* Sockets: the calls. Addresses are in sock_address.c. */
#include "sys/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/file.h"

/* Waiting connections beyond this are refused by the kernel; net.core.somaxconn lowers it. */
enum { LISTEN_BACKLOG = 4096 };

static socklen_t address_len(const struct sock_address *a)
{
        return a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6;
}

static int set_option(int fd, int level, int option, int value)
{
        return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int sock_new(const struct sock_address *a)
{
        int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        return fd < 0 ? -errno : fd;
}

static int listen_setup(int fd, const struct sock_address *a, bool reuse_port)
{
        int r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* a restart need not wait for TIME_WAIT */

        if (!r && reuse_port)
                r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        /* IPv4 has sockets of its own, so that "0.0.0.0" and "[::]" can both be listened on. */
        if (!r && a->any.sa_family == AF_INET6)
                r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        if (!r && bind(fd, &a->any, address_len(a)) < 0)
                r = -errno;
        if (!r && listen(fd, LISTEN_BACKLOG) < 0)
                r = -errno;
        return r;
}

int sock_listen(const struct sock_address *a, bool reuse_port)
{
        int fd = sock_new(a), r;

        if (fd < 0)
                return fd;
        r = listen_setup(fd, a, reuse_port);
        if (!r)
                return fd;
        file_close(fd);
        return r;
}

int sock_local(int fd, struct sock_address *ret_address)
{
        socklen_t len = sizeof *ret_address;

        return getsockname(fd, &ret_address->any, &len) < 0 ? -errno : 0;
}

int sock_accept(int fd, struct sock_address *ret_peer)
{
        for (;;) {
                socklen_t len = sizeof *ret_peer;
                int peer = accept4(fd, &ret_peer->any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (peer >= 0)
                        return peer;
                /* accept(2): errors of the new connection come out here and are to be treated like EAGAIN. */
                if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO && errno != ENETDOWN &&
                    errno != EHOSTDOWN && errno != EHOSTUNREACH && errno != ENETUNREACH && errno != ENONET &&
                    errno != ENOPROTOOPT)
                        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
        }
}

int sock_connect(const struct sock_address *a)
{
        int fd = sock_new(a), r;

        if (fd < 0)
                return fd;
        if (!connect(fd, &a->any, address_len(a)) || errno == EINPROGRESS || errno == EINTR)
                return fd;
        r = -errno;
        file_close(fd);
        return r;
}

int sock_pair(int ret_fds[2])
{
        return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

int sock_end_writing(int fd)
{
        return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

int sock_error(int fd)
{
        int error = 0;
        socklen_t len = sizeof error;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                return -errno;
        return -error;
}

int sock_tune(int fd)
{
        int r = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);

        return r ? r : set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int sock_set_buffers(int fd, int send_len, int receive_len)
{
        int r = send_len > 0 ? set_option(fd, SOL_SOCKET, SO_SNDBUF, send_len) : 0;

        if (!r && receive_len > 0)
                r = set_option(fd, SOL_SOCKET, SO_RCVBUF, receive_len);
        return r;
}

ssize_t sock_readv(int fd, const struct iovec *iov, int iov_count)
{
        struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)iov_count };
        ssize_t n;

        do
                n = iov_count == 1 ? recv(fd, iov->iov_base, iov->iov_len, 0) : recvmsg(fd, &msg, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

int sock_readable_len(int fd)
{
        int len;

        return ioctl(fd, FIONREAD, &len) < 0 ? -errno : len;
}

ssize_t sock_writev(int fd, const struct iovec *iov, int iov_count, bool more)
{
        struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)iov_count };
        ssize_t n;

        do
                n = sendmsg(fd, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

ssize_t sock_sendfile(int fd, int file_fd, int64_t pos, size_t len)
{
        off_t at = pos;
        ssize_t n;

        do
                n = sendfile(fd, file_fd, &at, len);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

bool sock_is_peer_error(int r)
{
        return r == -EPIPE || r == -ECONNRESET || r == -ETIMEDOUT || r == -EHOSTUNREACH || r == -ENETUNREACH ||
               r == -ECONNREFUSED || r == -ENOTCONN;
}
