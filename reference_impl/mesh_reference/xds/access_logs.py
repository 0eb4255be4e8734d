"""Access logs in Istio's default text format, with response flags and route name. Where they go is a setting."""

from __future__ import annotations

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2

from mesh_reference.xds.messages import pack

FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)


def text(path: str) -> list[accesslog_pb2.AccessLog]:
    """One line for each request or connection; an empty path = none."""
    return [_log(path)] if path else []


def unmatched(path: str) -> list[accesslog_pb2.AccessLog]:
    """For listeners: connections for which no filter chain was found (flag NR)."""
    if not path:
        return []
    log = _log(path)
    log.filter.response_flag_filter.flags.append("NR")
    return [log]


def _log(path: str) -> accesslog_pb2.AccessLog:
    settings = file_pb2.FileAccessLog(path=path)
    settings.log_format.CopyFrom(
        substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source={"inline_string": FORMAT}, omit_empty_values=False
        )
    )
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.file", typed_config=pack(settings))
