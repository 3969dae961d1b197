"""Native glue to librdkafka's handles (batch.h is what leaves this module), and calls of HBase's Thrift gateway.

Private: flurry_fast.consumer.source, flurry_fast.portal, flurry_fast.broker and
flurry_fast.stores.hbase are its users.
"""
# One extension module, one file a concern: the parts share C-level types.
include "build.pyx"
include "library.pyx"
include "batch.pyx"
include "drain.pyx"
include "outlet.pyx"
include "mock.pyx"
include "thrift.pyx"
