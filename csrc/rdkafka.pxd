# Declarations for csrc/rdkafka.h, with their reasons there.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "rdkafka.h" nogil:
    ctypedef struct rd_kafka_t:
        pass
    ctypedef struct rd_kafka_queue_t:
        pass
    ctypedef struct rd_kafka_topic_t:
        pass
    ctypedef struct rd_kafka_headers_t:
        pass
    ctypedef struct rd_kafka_mock_cluster_t:
        pass

    ctypedef struct rd_kafka_message_t:
        int err
        rd_kafka_topic_t *rkt
        int32_t partition
        void *payload
        size_t len
        void *key
        size_t key_len
        int64_t offset

    ctypedef struct rd_kafka_conf_t:
        pass
    ctypedef struct rd_kafka_topic_conf_t:
        pass
    ctypedef struct rd_kafka_event_t:
        pass
    struct rd_kafka_metadata:
        pass

    int FF_RD_KAFKA_CONSUMER
    int FF_RD_KAFKA_PRODUCER
    int FF_RD_KAFKA_EVENT_DR
    int FF_RD_KAFKA_EVENT_LOG
    int FF_RD_KAFKA_EVENT_ERROR

    ctypedef struct ff_rdkafka:
        int (*version)() noexcept nogil
        const char *(*version_str)() noexcept nogil
        int (*type)(const rd_kafka_t *) noexcept nogil
        void *(*opaque)(const rd_kafka_t *) noexcept nogil
        rd_kafka_queue_t *(*queue_new)(rd_kafka_t *) noexcept nogil
        void (*queue_destroy)(rd_kafka_queue_t *) noexcept nogil
        rd_kafka_queue_t *(*queue_get_partition)(rd_kafka_t *, const char *, int32_t) noexcept nogil
        rd_kafka_queue_t *(*queue_get_consumer)(rd_kafka_t *) noexcept nogil
        void (*queue_forward)(rd_kafka_queue_t *, rd_kafka_queue_t *) noexcept nogil
        ssize_t (*consume_batch_queue)(rd_kafka_queue_t *, int, rd_kafka_message_t **, size_t) noexcept nogil
        void (*message_destroy)(rd_kafka_message_t *) noexcept nogil
        const char *(*message_errstr)(const rd_kafka_message_t *) noexcept nogil
        int64_t (*message_timestamp)(const rd_kafka_message_t *, int *) noexcept nogil
        int (*message_headers)(const rd_kafka_message_t *, rd_kafka_headers_t **) noexcept nogil
        int (*header_get_all)(const rd_kafka_headers_t *, size_t, const char **, const void **, size_t *) noexcept nogil
        const char *(*topic_name)(const rd_kafka_topic_t *) noexcept nogil
        const char *(*err2name)(int) noexcept nogil
        int (*fatal_error)(rd_kafka_t *, char *, size_t) noexcept nogil
        rd_kafka_conf_t *(*conf_new)() noexcept nogil
        int (*conf_set)(rd_kafka_conf_t *, const char *, const char *, char *, size_t) noexcept nogil
        void (*conf_set_events)(rd_kafka_conf_t *, int) noexcept nogil
        void (*conf_destroy)(rd_kafka_conf_t *) noexcept nogil
        rd_kafka_t *(*new_ "new")(int, rd_kafka_conf_t *, char *, size_t) noexcept nogil
        void (*destroy_flags)(rd_kafka_t *, int) noexcept nogil
        rd_kafka_topic_t *(*topic_new)(rd_kafka_t *, const char *, rd_kafka_topic_conf_t *) noexcept nogil
        void (*topic_destroy)(rd_kafka_topic_t *) noexcept nogil
        int (*set_log_queue)(rd_kafka_t *, rd_kafka_queue_t *) noexcept nogil
        rd_kafka_queue_t *(*queue_get_main)(rd_kafka_t *) noexcept nogil
        void (*event_destroy)(rd_kafka_event_t *) noexcept nogil
        int (*outq_len)(rd_kafka_t *) noexcept nogil
        int (*metadata)(rd_kafka_t *, int, rd_kafka_topic_t *, const rd_kafka_metadata **, int) noexcept nogil
        void (*metadata_destroy)(const rd_kafka_metadata *) noexcept nogil
        rd_kafka_mock_cluster_t *(*handle_mock_cluster)(const rd_kafka_t *) noexcept nogil
        const char *(*mock_cluster_bootstraps)(const rd_kafka_mock_cluster_t *) noexcept nogil
        int (*mock_topic_create)(rd_kafka_mock_cluster_t *, const char *, int, int) noexcept nogil
        void (*mock_set_controller_id)(rd_kafka_mock_cluster_t *, int32_t) noexcept nogil
        void (*mock_group_initial_rebalance_delay_ms)(rd_kafka_mock_cluster_t *, int32_t) noexcept nogil

    const char *ff_rdkafka_load(void *library, ff_rdkafka *functions)
    void *ff_library_if_loaded(const char *path)
    const char *ff_library_of(const void *function)
