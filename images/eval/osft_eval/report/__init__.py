"""What was found, in words, and the forgetting report: one page for people, in HTML and in Markdown."""

from osft_eval.report.about import at_the_end, at_the_top
from osft_eval.report.data import data_view
from osft_eval.report.page import render_html, render_markdown
from osft_eval.report.summary import message, summarize
from osft_eval.report.view import make_view

__all__ = [
    "at_the_end",
    "at_the_top",
    "data_view",
    "make_view",
    "message",
    "render_html",
    "render_markdown",
    "summarize",
]
