/*
 * What of librdkafka's public C API this project uses. Wheels of
 * confluent-kafka bundle the library without its header, so its stable
 * declarations are repeated here, and found at run time in the very library
 * that confluent-kafka loaded: its handles mean nothing to another copy.
 */
#ifndef FF_RDKAFKA_H
#define FF_RDKAFKA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_queue_s rd_kafka_queue_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;
typedef struct rd_kafka_mock_cluster_s rd_kafka_mock_cluster_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_topic_conf_s rd_kafka_topic_conf_t;
typedef struct rd_kafka_op_s rd_kafka_event_t;
struct rd_kafka_metadata;
typedef int rd_kafka_resp_err_t; /* an enum in librdkafka */

/* rd_kafka_message_t of rdkafka.h, unchanged since 0.9. */
typedef struct {
    rd_kafka_resp_err_t err;
    rd_kafka_topic_t *rkt;
    int32_t partition;
    void *payload; /* where err is set: nothing we read */
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *private_;
} rd_kafka_message_t;

/* rd_kafka_type_t */
#define FF_RD_KAFKA_PRODUCER 0
#define FF_RD_KAFKA_CONSUMER 1

/* rd_kafka_event_type_t */
#define FF_RD_KAFKA_EVENT_DR 0x1
#define FF_RD_KAFKA_EVENT_LOG 0x4
#define FF_RD_KAFKA_EVENT_ERROR 0x8

/* rd_kafka_vtype_t, in the order of producev's arguments */
#define FF_RD_KAFKA_VTYPE_END 0
#define FF_RD_KAFKA_VTYPE_RKT 2
#define FF_RD_KAFKA_VTYPE_VALUE 4
#define FF_RD_KAFKA_VTYPE_KEY 5
#define FF_RD_KAFKA_VTYPE_OPAQUE 6
#define FF_RD_KAFKA_VTYPE_MSGFLAGS 7
#define FF_RD_KAFKA_VTYPE_TIMESTAMP 8
#define FF_RD_KAFKA_VTYPE_HEADERS 10
#define FF_RD_KAFKA_MSG_F_COPY 0x2

/* rd_kafka_timestamp_type_t */
#define FF_RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME 2

/* rd_kafka_resp_err_t */
#define FF_RD_KAFKA_ERR_INVALID_ARG (-186)
#define FF_RD_KAFKA_ERR__ALL_BROKERS_DOWN (-187)

/* name(return type, arguments): one line a function, in the order of use. */
#define FF_RDKAFKA_FUNCTIONS(X) \
    X(version, int, (void)) \
    X(version_str, const char *, (void)) \
    X(type, int, (const rd_kafka_t *)) \
    X(opaque, void *, (const rd_kafka_t *)) \
    X(queue_new, rd_kafka_queue_t *, (rd_kafka_t *)) \
    X(queue_destroy, void, (rd_kafka_queue_t *)) \
    X(queue_get_partition, rd_kafka_queue_t *, (rd_kafka_t *, const char *, int32_t)) \
    X(queue_get_consumer, rd_kafka_queue_t *, (rd_kafka_t *)) \
    X(queue_forward, void, (rd_kafka_queue_t *, rd_kafka_queue_t *)) \
    X(consume_batch_queue, ssize_t, (rd_kafka_queue_t *, int, rd_kafka_message_t **, size_t)) \
    X(message_destroy, void, (rd_kafka_message_t *)) \
    X(message_errstr, const char *, (const rd_kafka_message_t *)) \
    X(message_timestamp, int64_t, (const rd_kafka_message_t *, int *)) \
    X(message_headers, rd_kafka_resp_err_t, (const rd_kafka_message_t *, rd_kafka_headers_t **)) \
    X(header_get_all, rd_kafka_resp_err_t, \
      (const rd_kafka_headers_t *, size_t, const char **, const void **, size_t *)) \
    X(topic_name, const char *, (const rd_kafka_topic_t *)) \
    X(err2name, const char *, (rd_kafka_resp_err_t)) \
    X(fatal_error, rd_kafka_resp_err_t, (rd_kafka_t *, char *, size_t)) \
    X(conf_new, rd_kafka_conf_t *, (void)) \
    X(conf_set, int, (rd_kafka_conf_t *, const char *, const char *, char *, size_t)) \
    X(conf_set_events, void, (rd_kafka_conf_t *, int)) \
    X(conf_destroy, void, (rd_kafka_conf_t *)) \
    X(new, rd_kafka_t *, (int, rd_kafka_conf_t *, char *, size_t)) \
    X(destroy_flags, void, (rd_kafka_t *, int)) \
    X(topic_new, rd_kafka_topic_t *, (rd_kafka_t *, const char *, rd_kafka_topic_conf_t *)) \
    X(topic_destroy, void, (rd_kafka_topic_t *)) \
    X(set_log_queue, rd_kafka_resp_err_t, (rd_kafka_t *, rd_kafka_queue_t *)) \
    X(queue_get_main, rd_kafka_queue_t *, (rd_kafka_t *)) \
    X(queue_poll, rd_kafka_event_t *, (rd_kafka_queue_t *, int)) \
    X(event_type, int, (const rd_kafka_event_t *)) \
    X(event_destroy, void, (rd_kafka_event_t *)) \
    X(event_message_next, const rd_kafka_message_t *, (rd_kafka_event_t *)) \
    X(event_error, rd_kafka_resp_err_t, (rd_kafka_event_t *)) \
    X(event_error_string, const char *, (rd_kafka_event_t *)) \
    X(event_error_is_fatal, int, (rd_kafka_event_t *)) \
    X(event_log, int, (rd_kafka_event_t *, const char **, const char **, int *)) \
    X(headers_new, rd_kafka_headers_t *, (size_t)) \
    X(headers_destroy, void, (rd_kafka_headers_t *)) \
    X(header_add, rd_kafka_resp_err_t, (rd_kafka_headers_t *, const char *, ssize_t, const void *, ssize_t)) \
    X(producev, rd_kafka_resp_err_t, (rd_kafka_t *, ...)) \
    X(outq_len, int, (rd_kafka_t *)) \
    X(metadata, rd_kafka_resp_err_t, \
      (rd_kafka_t *, int, rd_kafka_topic_t *, const struct rd_kafka_metadata **, int)) \
    X(metadata_destroy, void, (const struct rd_kafka_metadata *)) \
    X(handle_mock_cluster, rd_kafka_mock_cluster_t *, (const rd_kafka_t *)) \
    X(mock_cluster_bootstraps, const char *, (const rd_kafka_mock_cluster_t *)) \
    X(mock_topic_create, rd_kafka_resp_err_t, (rd_kafka_mock_cluster_t *, const char *, int, int)) \
    X(mock_group_initial_rebalance_delay_ms, void, (rd_kafka_mock_cluster_t *, int32_t))

/* Not in every 2.x, and missed by nobody but tests: NULL where absent. */
#define FF_RDKAFKA_OPTIONAL(X) X(mock_set_controller_id, void, (rd_kafka_mock_cluster_t *, int32_t))

typedef struct {
#define FF_FIELD(name, result, arguments) result(*name) arguments;
    FF_RDKAFKA_FUNCTIONS(FF_FIELD)
    FF_RDKAFKA_OPTIONAL(FF_FIELD)
#undef FF_FIELD
} ff_rdkafka;

/* Looks every function up in `library` (a dlopen handle) and what it depends
 * on. Returns NULL, or the name of the first required symbol that is missing. */
const char *ff_rdkafka_load(void *library, ff_rdkafka *functions);

/* Opens `path` again only if it is loaded already; NULL otherwise. */
void *ff_library_if_loaded(const char *path);

/* The file that holds `function`, or NULL. */
const char *ff_library_of(const void *function);

#endif
