"""The live protocol over Socket.IO."""
