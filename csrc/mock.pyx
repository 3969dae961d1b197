# librdkafka's mock cluster, behind a Producer that was configured with one.
from rdkafka cimport rd_kafka_mock_cluster_t


cdef rd_kafka_mock_cluster_t *mock_cluster_of(object producer) except NULL:
    from confluent_kafka.cimpl import Producer

    cdef rd_kafka_mock_cluster_t *cluster = rdk.handle_mock_cluster(handle_of(producer, Producer))
    if cluster is NULL:
        raise ValueError("the producer has no mock cluster (test.mock.num.brokers)")
    return cluster


def mock_bootstrap(producer):
    """Addresses of the mock cluster's brokers; see _wire.pyi."""
    return rdk.mock_cluster_bootstraps(mock_cluster_of(producer)).decode()


def mock_create_topic(producer, str topic not None, int partitions, int replication=1):
    """Creates a topic in the mock cluster; see _wire.pyi."""
    if partitions < 1 or replication < 1:
        raise ValueError("a topic has at least one partition and one replica")
    cdef int code = rdk.mock_topic_create(mock_cluster_of(producer), topic.encode(), partitions, replication)
    if code != 0:
        raise RuntimeError(f"topic {topic} can not be created: {rdk.err2name(code).decode()}")


def mock_rebalance_delay(producer, int milliseconds):
    """How long the cluster waits for more members of a new group; see _wire.pyi."""
    rdk.mock_group_initial_rebalance_delay_ms(mock_cluster_of(producer), milliseconds)


def mock_controller(producer, int broker):
    """Makes a broker the controller that admin clients look for; see _wire.pyi."""
    cdef rd_kafka_mock_cluster_t *cluster = mock_cluster_of(producer)
    if rdk.mock_set_controller_id is NULL:
        raise NotImplementedError("this librdkafka can not set a mock cluster's controller")
    rdk.mock_set_controller_id(cluster, broker)
