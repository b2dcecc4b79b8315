"""Whom the end of a training is told."""

from dataclasses import dataclass

from ds2ray.config.fields import setting


@dataclass(frozen=True, kw_only=True)
class TrainReportConfig:
    """Whom the end and the failure of a training are told: see also DS2RAY_WEBHOOK_URL in the environment."""

    metrics_file: str = setting(
        "", "file that receives the training's figures, as Prometheus reads them: for node_exporter's textfile folder"
    )
    pushgateway: str = setting("", "address of a Prometheus Pushgateway that receives the same figures")
    on_end: str = setting(
        "", "shell command for the end and for the failure, with DS2RAY_RUN_ID, _EXIT_CODE and _MESSAGE"
    )
