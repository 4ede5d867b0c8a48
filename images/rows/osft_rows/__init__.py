"""Rows to tokens and labels: the one place that decides what a model reads and what it learns.

The download stage encodes every row once; training and evaluation read the result. `template` renders chats,
`spans` finds what of the text the assistant said, `chat` makes tokens and labels of both.
"""
