"""Native glue to librdkafka's handles; batch.h is what leaves this module.

Private: flurry_fast.consumer.source, flurry_fast.portal and flurry_fast.broker are its users.
"""
# One extension module, one file a concern: the parts share C-level types.
include "build.pyx"
include "library.pyx"
include "batch.pyx"
include "drain.pyx"
include "outlet.pyx"
include "mock.pyx"
