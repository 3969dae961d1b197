"""Configuration files as the servers read them."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

Value = str | int

# Log4j 2, and Log4j 1 for Hadoop's own servers; all of it goes where the process's output goes.
_PATTERN = "%d{ISO8601} %-5p [%t] %c{2}: %m%n"
LOG4J_2 = f"""\
status=error
appender.c.type=Console
appender.c.name=c
appender.c.target=SYSTEM_ERR
appender.c.layout.type=PatternLayout
appender.c.layout.pattern={_PATTERN}
rootLogger.level=info
rootLogger.appenderRef.c.ref=c
"""
LOG4J_1 = f"""\
log4j.rootLogger=INFO,c
log4j.appender.c=org.apache.log4j.ConsoleAppender
log4j.appender.c.target=System.err
log4j.appender.c.layout=org.apache.log4j.PatternLayout
log4j.appender.c.layout.ConversionPattern={_PATTERN}
"""


def site_xml(properties: Mapping[str, Value]) -> str:
    """Hadoop's and HBase's format."""
    lines = (
        f"  <property><name>{escape(key)}</name><value>{escape(str(value))}</value></property>\n"
        for key, value in properties.items()
    )
    return f"<configuration>\n{''.join(lines)}</configuration>\n"


def java_properties(properties: Mapping[str, Value]) -> str:
    """Kafka's format."""
    return "".join(f"{key}={str(value).replace(chr(92), chr(92) * 2)}\n" for key, value in properties.items())
