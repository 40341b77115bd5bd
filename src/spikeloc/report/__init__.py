"""The report: run -> report.html, one file with everything in it, and its pictures as figures/*.png."""

from spikeloc.report.page import begin_report, go_on_with_report, report, write_report

__all__ = ["begin_report", "go_on_with_report", "report", "write_report"]
