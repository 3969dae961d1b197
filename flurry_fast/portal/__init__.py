"""The Agent Portal: reports of devices over HTTP to Kafka; 200 once Kafka has them.

No report passes through Python: connections, bodies and answers are `rust/portal`, records and their fates
`csrc/outlet.c`. This package decides, watches and ends.
"""
