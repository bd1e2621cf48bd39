"""The report of a run: one HTML file with everything in it, to be read in a browser without a network.

timeline    what happened, as lanes, bars, marks and the paths of messages
scale       simulated time to the width of the picture
drawing     the timeline as SVG
page        the file: the picture, the figures, and the script that zooms and filters it
"""

from sim.report.page import page

__all__ = ["page"]
