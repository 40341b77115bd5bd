"""The report: run -> report.html, one file with everything in it, and its pictures as figures/*.png."""

from spikeloc.report.page import report, write_report
from spikeloc.report.pictures import pictures

__all__ = ["pictures", "report", "write_report"]
