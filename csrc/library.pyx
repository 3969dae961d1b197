# The librdkafka that confluent-kafka runs on, and the handles behind its objects.
from cpython.object cimport PyObject

from rdkafka cimport (
    ff_library_if_loaded,
    ff_library_of,
    ff_rdkafka,
    ff_rdkafka_load,
    rd_kafka_t,
)

cdef ff_rdkafka rdk
cdef bint rdk_loaded = False


class DrainUnavailable(RuntimeError):
    """librdkafka's handle can not be shared here; `reason` says why."""

    def __init__(self, reason):
        super().__init__(f"no native access to librdkafka: {reason}")
        self.reason = reason


# Once found, the functions stay: the library is never unloaded.
cdef int load_library() except -1:
    global rdk_loaded
    if rdk_loaded:
        return 0
    from confluent_kafka import cimpl, libversion

    # Symbols are looked up through confluent-kafka's own extension module, so
    # that the library is the one it is linked with: in its wheel, of the
    # system, or within the module itself. Another copy, loaded by some other
    # package, would take its handles for garbage.
    cdef bytes path = cimpl.__file__.encode()
    cdef void *module = ff_library_if_loaded(path)
    if module is NULL:
        raise DrainUnavailable(f"{cimpl.__file__} is not a loaded library")
    cdef const char *missing = ff_rdkafka_load(module, &rdk)
    if missing is not NULL:
        raise DrainUnavailable(f"librdkafka has no function {missing.decode()}")
    cdef int version = rdk.version()
    if version != libversion()[1]:
        raise DrainUnavailable(f"found librdkafka {version:#x}, but confluent-kafka runs on {libversion()[1]:#x}")
    if version >> 24 != 2:
        raise DrainUnavailable(f"librdkafka {rdk.version_str().decode()} was never tried, only 2.x")
    rdk_loaded = True
    return 0


def librdkafka():
    """(version, path of the library) of the librdkafka that is shared; see _wire.pyi."""
    load_library()
    cdef const char *path = ff_library_of(<const void *>rdk.version)
    return rdk.version_str().decode(), "" if path is NULL else path.decode()


# The rd_kafka_t behind a Consumer or Producer of confluent-kafka: the first
# field of its C struct, right after the object's header. librdkafka knows the
# way back (confluent-kafka sets the object as its opaque): that proves it.
cdef rd_kafka_t *handle_of(object client, object kind) except NULL:
    load_library()
    if not isinstance(client, kind):
        raise TypeError(f"expected a confluent_kafka.{kind.__name__}, not {type(client).__name__}")
    if kind.__basicsize__ < <Py_ssize_t>(sizeof(PyObject) + sizeof(void *)):
        raise DrainUnavailable(f"{kind.__name__} has no room for a handle")
    cdef rd_kafka_t *handle = (<rd_kafka_t **>(<char *><void *>client + sizeof(PyObject)))[0]
    if handle is NULL:
        raise RuntimeError(f"the {kind.__name__} is closed")
    if not is_writable(<size_t>handle):
        raise DrainUnavailable(f"{kind.__name__} does not begin with a handle")
    if rdk.opaque(handle) != <void *>client:
        raise DrainUnavailable(f"the handle of {kind.__name__} does not point back to it")
    return handle


# Whether an address lies in memory of ours: asked before it is followed.
cdef bint is_writable(size_t address) except -1:
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                span, rights, _ = line.split(" ", 2)
                start, _, end = span.partition("-")
                if int(start, 16) <= address < int(end, 16):
                    return rights.startswith("rw")
    except OSError:
        return True  # no such file on this system: the check of the opaque remains
    return False
