"""The exit statuses of the command; 0 is success."""

BROKEN = 1  # what was checked has a broken gradient
BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
