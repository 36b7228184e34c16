"""What a pruned model comes to when it is deployed: measured, not claimed."""

from tf_admm.reporting.deployment import DeploymentReport
from tf_admm.reporting.report import report

__all__ = ["DeploymentReport", "report"]
