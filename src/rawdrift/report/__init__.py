"""Pages and figures of a finished run. This floor draws records and computes nothing.

write("runs/blood")                       # report.html, figures/, tables/ of a run folder
compare(["runs/blood", "runs/other"])     # compare.html, in the folder of the last one
contact_sheet(views, "sheet.png")         # all views of one image, labeled, side by side
words(summary, "runs/cells")              # what a run has found, in lines of text
sample_sheet(samples, counts, "data.png", title)    # images of every class of a dataset
"""

from rawdrift.report.compare import compare
from rawdrift.report.contact_sheet import contact_sheet
from rawdrift.report.dataset import SAMPLES, dataset_text, sample_sheet
from rawdrift.report.words import words
from rawdrift.report.write import write

__all__ = ["SAMPLES", "compare", "contact_sheet", "dataset_text", "sample_sheet", "words", "write"]
