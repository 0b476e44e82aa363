"""Task modules, one per dataset family; see README.md. Nothing is imported here on purpose."""
