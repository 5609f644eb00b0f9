"""The composition root: settings in, every socket bound, root dropped, then one TaskGroup."""
