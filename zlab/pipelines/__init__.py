"""Pipelines: items from a source through supervised stages to a sink, in bounded memory."""

from zlab.pipelines.pipeline import Pipeline, PipelineReport, pipeline
from zlab.pipelines.stage import Stage

__all__ = ["Pipeline", "PipelineReport", "Stage", "pipeline"]
