/*
 * The outlet: how the portal (Rust) puts records on Kafka and hears of their
 * fates, without an object of Python's for either. rust/src/outlet.rs mirrors
 * it field for field; a change raises FF_OUTLET_ABI.
 */
#ifndef FF_OUTLET_H
#define FF_OUTLET_H

#include <pthread.h>

#include "rdkafka.h"

#define FF_OUTLET_ABI 2u
#define FF_OUTLET_CAPSULE "flurry_fast.outlet.v1"
#define FF_OUTLET_NOTES 64
#define FF_OUTLET_NOTE_BYTES 512

/* A record on its way; everything is copied. Headers as FF_HEADER of batch.h. */
typedef struct {
    const uint8_t *key;
    size_t key_len;
    const uint8_t *payload; /* not NULL, also where its length is 0 */
    size_t payload_len;
    const uint8_t *headers;
    size_t headers_len;
    int64_t timestamp_ms; /* since the epoch */
} ff_outgoing;

/* What became of a record, once for each that `send` took. */
typedef struct {
    uint64_t id;
    int32_t error; /* 0: in the log, on all replicas that must have it */
    int32_t partition;
    int64_t offset; /* negative: the broker did not say, as for a repeated batch */
    int64_t append_ms; /* where the broker stores its own time; -1: the record's is stored */
} ff_fate;

/* What crosses to Rust. Both functions may be called by any thread, `collect`
 * by one at a time. */
typedef struct {
    uint32_t abi; /* FF_OUTLET_ABI */
    uint32_t reserved;
    void *self;
    /* 0: taken, exactly one fate will follow; else librdkafka's code, and none
     * will. Never blocks. */
    int32_t (*send)(void *self, const ff_outgoing *record, uint64_t id);
    /* Up to `room` fates, after a wait of at most `timeout_ms` for the first;
     * the number of them. */
    size_t (*collect)(void *self, int32_t timeout_ms, ff_fate *fates, size_t room);
} ff_outlet;

/* What librdkafka had to say beside fates; level as syslog has it. */
typedef struct {
    int level;
    char text[FF_OUTLET_NOTE_BYTES];
} ff_note;

/* Behind ff_outlet.self. Notes are a ring, under the lock. */
typedef struct {
    const ff_rdkafka *rdk;
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event; /* of fates that are not all handed out */
    int fatal; /* librdkafka's code: nothing can be sent any more */
    int down; /* no broker can be reached, as last heard */
    int embedded; /* librdkafka's mock: acknowledges a made-up append time, and stores the record's */
    pthread_mutex_t lock;
    size_t first, notes;
    unsigned long long lost; /* notes that nobody took in time */
    ff_note ring[FF_OUTLET_NOTES];
} ff_producer;

int32_t ff_producer_send(void *self, const ff_outgoing *record, uint64_t id);
size_t ff_producer_collect(void *self, int32_t timeout_ms, ff_fate *fates, size_t room);

/* The oldest note; 0 where there is none. */
int ff_producer_note(ff_producer *self, ff_note *out);

#endif
