"""The forgetting report: one page for people, in HTML and in Markdown, from the same view."""

from osft_eval.report.page import render_html, render_markdown
from osft_eval.report.view import make_view

__all__ = ["make_view", "render_html", "render_markdown"]
