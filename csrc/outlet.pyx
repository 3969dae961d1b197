# The outlet: a producer of our own over confluent-kafka's librdkafka, for Rust.
cimport cython
from cpython.pycapsule cimport PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.string cimport memset

from outlet cimport (
    FF_OUTLET_ABI,
    FF_OUTLET_CAPSULE,
    ff_note,
    ff_outlet,
    ff_producer,
    ff_producer_collect,
    ff_producer_note,
    ff_producer_send,
    pthread_mutex_destroy,
    pthread_mutex_init,
)
from rdkafka cimport (
    FF_RD_KAFKA_EVENT_DR,
    FF_RD_KAFKA_EVENT_ERROR,
    FF_RD_KAFKA_EVENT_LOG,
    FF_RD_KAFKA_PRODUCER,
    rd_kafka_conf_t,
    rd_kafka_metadata,
)


cdef void drop_outlet(object capsule) noexcept:
    cdef PyObject *context = <PyObject *>PyCapsule_GetContext(capsule)
    cdef Outlet outlet = <Outlet>context
    outlet.exports -= 1
    Py_DECREF(outlet)


@cython.final
cdef class Outlet:
    """An idempotent producer to one topic; see _wire.pyi."""

    cdef ff_producer producer
    cdef ff_outlet head
    cdef Py_ssize_t exports
    cdef readonly str topic
    cdef object __weakref__

    def __cinit__(self, dict config not None, str topic not None, *, bint embedded=False):
        cdef char why[512]
        cdef rd_kafka_conf_t *conf
        load_library()
        memset(&self.producer, 0, sizeof(self.producer))
        pthread_mutex_init(&self.producer.lock, NULL)
        self.producer.rdk = &rdk
        self.producer.embedded = embedded
        self.topic = topic
        conf = rdk.conf_new()
        for name, value in config.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if rdk.conf_set(conf, str(name).encode(), text.encode(), why, sizeof(why)) != 0:
                rdk.conf_destroy(conf)
                raise ValueError(why.decode("utf-8", "replace"))
        rdk.conf_set(conf, b"log.queue", b"true", why, sizeof(why))
        rdk.conf_set_events(conf, FF_RD_KAFKA_EVENT_DR | FF_RD_KAFKA_EVENT_LOG | FF_RD_KAFKA_EVENT_ERROR)
        self.producer.handle = rdk.new_(FF_RD_KAFKA_PRODUCER, conf, why, sizeof(why))
        if self.producer.handle is NULL:
            rdk.conf_destroy(conf)
            raise ValueError(why.decode("utf-8", "replace"))
        self.producer.queue = rdk.queue_get_main(self.producer.handle)
        rdk.set_log_queue(self.producer.handle, self.producer.queue)
        self.producer.topic = rdk.topic_new(self.producer.handle, topic.encode(), NULL)
        if self.producer.topic is NULL:
            raise ValueError(f"{topic!r} can not be the name of a topic")
        self.head.abi = FF_OUTLET_ABI
        self.head.self_ = &self.producer
        self.head.send = ff_producer_send
        self.head.collect = ff_producer_collect

    def __dealloc__(self):
        self.free_all()
        pthread_mutex_destroy(&self.producer.lock)

    def __ff_outlet__(self):
        self.check_open()
        capsule = PyCapsule_New(&self.head, FF_OUTLET_CAPSULE, <void (*)(object) noexcept>drop_outlet)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        self.exports += 1
        return capsule

    @property
    def fatal(self):
        return None if self.producer.fatal == 0 else rdk.err2name(self.producer.fatal).decode()

    @property
    def down(self):
        return self.producer.down != 0

    @property
    def waiting(self):
        self.check_open()
        return rdk.outq_len(self.producer.handle)

    def notes(self):
        cdef ff_note note
        found = []
        while ff_producer_note(&self.producer, &note):
            found.append((note.level, note.text.decode("utf-8", "replace")))
        return found

    def ask(self, double seconds):
        cdef const rd_kafka_metadata *found = NULL
        cdef int error, timeout = <int>(seconds * 1000)
        self.check_open()
        with nogil:
            error = rdk.metadata(self.producer.handle, 0, self.producer.topic, &found, timeout)
        if error != 0:
            return rdk.err2name(error).decode()
        rdk.metadata_destroy(found)
        self.producer.down = 0
        return None

    def close(self):
        if self.exports:
            raise BufferError("the outlet is being used")
        self.free_all()

    cdef int check_open(self) except -1:
        if self.producer.handle is NULL:
            raise ValueError("the outlet is closed")
        return 0

    cdef void free_all(self) noexcept:
        if self.producer.handle is NULL:
            return
        with nogil:
            if self.producer.event is not NULL:
                rdk.event_destroy(self.producer.event)
            if self.producer.topic is not NULL:
                rdk.topic_destroy(self.producer.topic)
            rdk.queue_destroy(self.producer.queue)
            rdk.destroy_flags(self.producer.handle, 0)
        self.producer.handle = NULL
        self.producer.event = NULL
