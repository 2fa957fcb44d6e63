"""Pages and figures of a finished run. This floor draws records and computes nothing.

write("runs/blood")                       # report.html, figures/, tables/ of a run folder
compare(["runs/blood", "runs/other"])     # compare.html, in the folder of the last one
contact_sheet(views, "sheet.png")         # all views of one image, labeled, side by side
"""

from rawdrift.report.compare import compare
from rawdrift.report.contact_sheet import contact_sheet
from rawdrift.report.html import write

__all__ = ["compare", "contact_sheet", "write"]
