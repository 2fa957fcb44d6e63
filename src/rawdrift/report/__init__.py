"""Pages and figures of a finished run. This floor draws records and computes nothing.

write("runs/blood")                       # report.html, figures/*.svg and *.png of a run folder
contact_sheet(views, "sheet.png")         # all views of one image, labeled, side by side
sample_sheet(samples, counts, "data.png", title)    # images of every class of a dataset
"""

from rawdrift.report.contact_sheet import contact_sheet
from rawdrift.report.dataset import SAMPLES, dataset_text, sample_sheet
from rawdrift.report.html import write

__all__ = ["SAMPLES", "contact_sheet", "dataset_text", "sample_sheet", "write"]
