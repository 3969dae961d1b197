# Native glue to librdkafka's handles (see batch.h for what leaves this module).
