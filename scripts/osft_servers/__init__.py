"""Servers that the demo, the tests and the development cluster start on this machine."""
