"""Tools for operators: the queue, limits and status of a running smx, over the link to QMGR."""
