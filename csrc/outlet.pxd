# Declarations for csrc/outlet.h, with their reasons there.
from libc.stdint cimport int32_t, uint32_t, uint64_t

from rdkafka cimport ff_rdkafka, rd_kafka_event_t, rd_kafka_queue_t, rd_kafka_t, rd_kafka_topic_t

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *, const void *)
    int pthread_mutex_destroy(pthread_mutex_t *)


cdef extern from "outlet.h" nogil:
    const uint32_t FF_OUTLET_ABI
    const char *FF_OUTLET_CAPSULE

    ctypedef struct ff_outgoing:
        pass
    ctypedef struct ff_fate:
        pass

    ctypedef struct ff_outlet:
        uint32_t abi
        uint32_t reserved
        void *self_ "self"
        int32_t (*send)(void *, const ff_outgoing *, uint64_t) noexcept nogil
        size_t (*collect)(void *, int32_t, ff_fate *, size_t) noexcept nogil

    ctypedef struct ff_note:
        int level
        char *text

    ctypedef struct ff_producer:
        const ff_rdkafka *rdk
        rd_kafka_t *handle
        rd_kafka_topic_t *topic
        rd_kafka_queue_t *queue
        rd_kafka_event_t *event
        int fatal
        int down
        int embedded
        pthread_mutex_t lock
        unsigned long long lost

    int32_t ff_producer_send(void *, const ff_outgoing *, uint64_t) noexcept
    size_t ff_producer_collect(void *, int32_t, ff_fate *, size_t) noexcept
    int ff_producer_note(ff_producer *, ff_note *) noexcept
