/* SPDX-License-Identifier: Apache-2.0
 *
 * A computer as a board. The serial line is chosen by the first argument of the program:
 *     (none)       standard input and output
 *     tcp:PORT     listens on 127.0.0.1:PORT and serves the first who connects
 *     pty          opens a pseudo terminal and prints its name on standard error
 *     PATH         an existing terminal or serial device, used raw as it is set
 * The program ends when the other side closes the line. No bytes are lost: the kernel holds them back.
 */
#define _XOPEN_SOURCE 700
#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char *line = ""; /* the first argument */
static int input_fd = STDIN_FILENO;
static int output_fd = STDOUT_FILENO;
static int closed; /* the other side has gone */

/* main() of the application takes no arguments, as on a board; the C libraries of Linux and macOS hand them
 * to constructors too. */
__attribute__((constructor)) static void keep_arguments(int argc, char **argv)
{
    if (argc > 1) {
        line = argv[1];
    }
}

__attribute__((noreturn)) static void fail(const char *what)
{
    (void)fprintf(stderr, "host port: %s '%s': %s\n", what, line, strerror(errno));
    exit(2);
}

static void make_raw(int fd)
{
    struct termios settings;
    if (tcgetattr(fd, &settings) != 0) {
        return; /* a pipe or a socket */
    }
    settings.c_iflag &= (tcflag_t) ~(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON);
    settings.c_oflag &= (tcflag_t)~OPOST;
    settings.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    settings.c_cflag = (settings.c_cflag & (tcflag_t) ~(CSIZE | PARENB)) | CS8;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    (void)tcsetattr(fd, TCSANOW, &settings);
}

static int open_tcp(const char *port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0
        || bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0) {
        fail("cannot listen on");
    }
    const int connection = accept(listener, NULL, NULL);
    if (connection < 0) {
        fail("cannot accept on");
    }
    (void)close(listener);
    (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connection;
}

static int open_pty(void)
{
    const int fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0) {
        fail("cannot open");
    }
    /* Held open by us as well, or the line would count as closed until somebody opens it. */
    const int slave = open(ptsname(fd), O_RDWR | O_NOCTTY);
    if (slave < 0) {
        fail("cannot open the other end of");
    }
    make_raw(slave);
    (void)fprintf(stderr, "%s\n", ptsname(fd));
    return fd;
}

void port_init(void)
{
    if (line[0] == '\0') {
        make_raw(input_fd);
        return;
    }
    if (strncmp(line, "tcp:", 4) == 0) {
        input_fd = open_tcp(line + 4);
    } else if (strcmp(line, "pty") == 0) {
        input_fd = open_pty();
    } else {
        input_fd = open(line, O_RDWR | O_NOCTTY);
        if (input_fd < 0) {
            fail("cannot open");
        }
        make_raw(input_fd);
    }
    output_fd = input_fd;
}

/* Is there something to read (or the end of the line) within timeout_ms? -1 waits for ever. */
static int readable(int timeout_ms)
{
    struct pollfd wait = {.fd = input_fd, .events = POLLIN, .revents = 0};
    return poll(&wait, 1, timeout_ms) > 0;
}

size_t port_read(uint8_t *data, size_t capacity)
{
    if (capacity == 0u || closed || !readable(0)) {
        return 0;
    }
    const ssize_t count = read(input_fd, data, capacity);
    if (count > 0) {
        return (size_t)count;
    }
    closed = count == 0 || (errno != EINTR && errno != EAGAIN);
    return 0;
}

void port_write(const uint8_t *data, size_t count)
{
    while (count > 0u) {
        const ssize_t sent = write(output_fd, data, count);
        if (sent > 0) {
            data += sent;
            count -= (size_t)sent;
        } else if (errno != EINTR && errno != EAGAIN) {
            exit(0); /* nobody listens any more */
        }
    }
}

uint32_t port_overruns(void)
{
    return 0u;
}

uint64_t port_cycles(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void port_idle(void)
{
    if (closed) {
        exit(0);
    }
    (void)readable(-1);
}

void port_get_info(port_info *info)
{
    *info = (port_info){.board = "host", .core_clock_hz = 0u, .cycles_are_real = 0u};
}
