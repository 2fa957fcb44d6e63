"""Pages and figures of a finished run. This floor draws records and computes nothing.

write("runs/blood")                       # report.html, figures/*.svg and *.png of a run folder
contact_sheet(views, "sheet.png")         # all views of one image, labeled, side by side
"""

from rawdrift.report.contact_sheet import contact_sheet
from rawdrift.report.html import write

__all__ = ["contact_sheet", "write"]
