/* Calls over sockets: written and read as poll() lets them, so that neither
 * side waits for the other to read first. A socket has up to `depth` calls
 * unanswered; replies come in the order of the calls. The first thing that goes
 * wrong ends it all: whoever called sends everything again. */
#define _GNU_SOURCE /* clock_gettime, MSG_NOSIGNAL */
#include "thrift.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CHUNK (64u << 10) /* of one recv */

/* A signal may come to another thread, or just before the wait: then nothing
 * interrupts poll(), and the caller looks at signals this often. */
#define LOOK_MS 100

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static ff_outcome failed(ff_exchange *exchange, ff_outcome outcome, int32_t code, const char *text) {
    exchange->outcome = outcome;
    exchange->code = code;
    snprintf(exchange->text, sizeof exchange->text, "%s", text);
    return outcome;
}

static ff_flight *flight_at(ff_lane *lane, size_t nth) {
    return &lane->flights[(lane->head + nth) % FF_DEPTH];
}

int ff_lane_clean(const ff_lane *lane) {
    return lane->count == 0 && lane->in.len == lane->in_at;
}

void ff_lane_free(ff_lane *lane) {
    ff_bytes_free(&lane->out);
    ff_bytes_free(&lane->in);
}

/* Gives a lane the next call, unless it has enough. */
static void take(ff_exchange *exchange, ff_lane *lane) {
    if (lane->count >= exchange->depth || exchange->next >= exchange->calls_count)
        return;
    lane->sequence = (int32_t)(((uint32_t)lane->sequence + 1) & 0x7fffffffu);
    ff_flight *flight = flight_at(lane, lane->count);
    flight->call = exchange->next++;
    flight->sequence = lane->sequence;
    if (lane->count++ == 0)
        lane->deadline = now_ns() + exchange->timeout;
}

/* One call is sent after the other, and encoded when its turn comes: so a lane has one request in memory. */
static ff_outcome send_some(ff_exchange *exchange, ff_lane *lane) {
    while (lane->sent < lane->count) {
        const ff_flight *flight = flight_at(lane, lane->sent);
        if (lane->out.len == 0) {
            int encoded = ff_encode(exchange->method, &exchange->calls[flight->call], flight->sequence, &lane->out);
            if (encoded == -1)
                return failed(exchange, FF_NO_MEMORY, 0, "");
            if (encoded != 0)
                return failed(exchange, FF_TOO_LARGE, 0, "the call is larger than the protocol can say");
        }
        ssize_t went = send(lane->fd, lane->out.data + lane->out_at, lane->out.len - lane->out_at,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (went < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
                return FF_FINE;
            return failed(exchange, FF_ERRNO, errno, "");
        }
        lane->out_at += (size_t)went;
        if (lane->out_at == lane->out.len) {
            lane->out_at = lane->out.len = 0;
            lane->sent++;
        }
    }
    return FF_FINE;
}

/* The oldest call has its clean reply. */
static void answered(ff_exchange *exchange, ff_lane *lane) {
    if (exchange->method == FF_SWAP)
        exchange->swapped[flight_at(lane, 0)->call] = (uint8_t)lane->reply.swapped;
    lane->head = (lane->head + 1) % FF_DEPTH;
    lane->count--;
    lane->sent--;
    lane->reading = 0;
    exchange->answered++;
    take(exchange, lane);
    lane->deadline = now_ns() + exchange->timeout;
}

/* Reads replies out of what has come. */
static ff_outcome parse(ff_exchange *exchange, ff_lane *lane) {
    while (lane->in_at < lane->in.len) {
        ff_flight *flight = flight_at(lane, 0);
        if (lane->count == 0 || lane->sent == 0)
            return failed(exchange, FF_MISMATCH, 0, "a reply came that no call waits for");
        if (!lane->reading) {
            ff_cells *cells = exchange->cells == NULL ? NULL : &exchange->cells[flight->call];
            ff_reply_begin(&lane->reply, exchange->method, &exchange->calls[flight->call], flight->sequence, cells);
            lane->reading = 1;
        }
        size_t used;
        int done;
        ff_outcome outcome =
            ff_reply_feed(&lane->reply, lane->in.data + lane->in_at, lane->in.len - lane->in_at, &used, &done);
        lane->in_at += used;
        if (outcome != FF_FINE)
            return failed(exchange, outcome, lane->reply.code, lane->reply.text);
        if (!done)
            break;
        answered(exchange, lane);
    }
    /* What is left is less than a token: it moves to the front. */
    if (lane->in_at) {
        memmove(lane->in.data, lane->in.data + lane->in_at, lane->in.len - lane->in_at);
        lane->in.len -= lane->in_at;
        lane->in_at = 0;
    }
    return FF_FINE;
}

static ff_outcome receive_some(ff_exchange *exchange, ff_lane *lane) {
    if (ff_bytes_reserve(&lane->in, CHUNK) != 0)
        return failed(exchange, FF_NO_MEMORY, 0, "");
    ssize_t got = recv(lane->fd, lane->in.data + lane->in.len, lane->in.cap - lane->in.len, MSG_DONTWAIT);
    if (got < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return FF_FINE;
        return failed(exchange, FF_ERRNO, errno, "");
    }
    if (got == 0)
        return failed(exchange, FF_CLOSED, 0, "the gateway closed the connection");
    lane->in.len += (size_t)got;
    return parse(exchange, lane);
}

static ff_outcome serve(ff_exchange *exchange, ff_lane *lane, short events) {
    /* First what came: a gateway that says why before it closes is heard. */
    if (events & (POLLIN | POLLHUP | POLLERR)) {
        if (receive_some(exchange, lane) != FF_FINE)
            return exchange->outcome;
    } else if (events & POLLNVAL) {
        return failed(exchange, FF_ERRNO, EBADF, "");
    }
    return (events & POLLOUT) ? send_some(exchange, lane) : FF_FINE;
}

/* Milliseconds until the first deadline, rounded up, LOOK_MS at most; -1: one is over. */
static int patience(const ff_exchange *exchange) {
    int64_t now = now_ns(), least = INT64_MAX;
    for (size_t i = 0; i < exchange->lanes_count; i++) {
        const ff_lane *lane = &exchange->lanes[i];
        if (lane->count && lane->deadline - now < least)
            least = lane->deadline - now;
    }
    if (least <= 0)
        return -1;
    int64_t milliseconds = (least - 1) / 1000000 + 1;
    return milliseconds > LOOK_MS ? LOOK_MS : (int)milliseconds;
}

ff_outcome ff_exchange_run(ff_exchange *exchange) {
    struct pollfd fds[FF_LANES];
    size_t count = exchange->lanes_count;
    if (exchange->outcome != FF_FINE)
        return exchange->outcome;
    /* In turn: the second lane gets work before the first gets more. */
    for (size_t nth = 0; nth < exchange->depth; nth++)
        for (size_t i = 0; i < count; i++)
            if (exchange->lanes[i].count <= nth)
                take(exchange, &exchange->lanes[i]);
    while (exchange->answered < exchange->calls_count) {
        for (size_t i = 0; i < count; i++) {
            ff_lane *lane = &exchange->lanes[i];
            fds[i].fd = lane->count ? lane->fd : -1; /* an idle one is looked at before its next use */
            fds[i].events = (short)(POLLIN | (lane->sent < lane->count ? POLLOUT : 0));
            fds[i].revents = 0;
        }
        int wait = patience(exchange);
        if (wait < 0)
            return failed(exchange, FF_TIMEOUT, 0, "no answer in time");
        int ready = poll(fds, (nfds_t)count, wait);
        if (ready < 0 && errno != EINTR)
            return failed(exchange, FF_ERRNO, errno, "");
        if (ready <= 0)
            return FF_INTERRUPTED;
        for (size_t i = 0; i < count; i++)
            if (fds[i].revents && serve(exchange, &exchange->lanes[i], fds[i].revents) != FF_FINE)
                return exchange->outcome;
    }
    return FF_FINE;
}
