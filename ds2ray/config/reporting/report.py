"""The report of a run: what its page shows, and jobs/report.py."""

from dataclasses import dataclass, field

from ds2ray.config.fields import require, require_finite, setting
from ds2ray.config.storage import StorageConfig


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """report.html of a run, and whom its end is told: see also DS2RAY_WEBHOOK_URL in the environment."""

    page: bool = setting(True, "write report.html into the run's folder when the run ends")
    log: bool = setting(True, "write what the run has printed as log.txt into its folder, up to some hundred kilobytes")
    show_ids: bool = setting(False, "name users by their ids, not by their keys; with a salt they have keys alone")
    num_nights: int = setting(7, "earlier runs, at most, that are looked at for the trend and for errors that rise")
    price_per_gpu_hour: float = setting(0.0, "what an hour of a GPU costs; 0: costs are not told")
    price_per_hour: float = setting(0.0, "what an hour of the rest of the cluster costs")
    currency: str = setting("USD", "the currency of the prices")
    metrics_file: str = setting(
        "",
        "file that receives each run's figures, as Prometheus reads them: for the textfile folder of node_exporter",
    )
    pushgateway: str = setting("", "address of a Prometheus Pushgateway that receives the same figures")
    on_end: str = setting(
        "", "shell command for the end and for the failure of a run, with DS2RAY_RUN_ID, _EXIT_CODE and _MESSAGE"
    )

    def __post_init__(self) -> None:
        require(self.num_nights >= 1, "report.num_nights", self.num_nights, "at least 1, the run before")
        for name in ("price_per_gpu_hour", "price_per_hour"):
            require(getattr(self, name) >= 0, f"report.{name}", getattr(self, name), "at least 0")


@dataclass(frozen=True, kw_only=True)
class ReportJob:
    """jobs/report.py"""

    runs: list[str] = setting(
        [], "a run, compared with the one before it, or two runs, the earlier first; `last`: the newest; none: a list"
    )
    output: str = setting("", "URI of an .html file that receives the page; empty: a table on the terminal alone")
    num_runs: int = setting(20, "runs that are listed, the newest")
    report: ReportConfig = field(default_factory=ReportConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)

    def __post_init__(self) -> None:
        require_finite(self)
        require(len(self.runs) <= 2, "runs", self.runs, "one or two runs")
        require(self.num_runs >= 1, "num_runs", self.num_runs, "at least 1")
