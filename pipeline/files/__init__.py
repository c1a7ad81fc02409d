"""The files of a run on disk: read as a stream, appended to, synced, refused where damaged."""
