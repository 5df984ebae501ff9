"""Protocols at the edge: DIMSE, DICOMweb, HTTP, Socket.IO, webhooks."""
