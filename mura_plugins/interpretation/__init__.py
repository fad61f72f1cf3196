"""The built-in explainers: one method a file, each with its paper."""

from mura_plugins import Explainer, hookimpl


@hookimpl
def mura_explainers() -> list[Explainer]:
    """Return the built-in explainers."""
    return [
        Explainer(
            name="gradcam",
            explain="mura_plugins.interpretation.gradcam:explain",
            summary="Where the last convolution's features raise the logit.",
            reference="Selvaraju et al. 2017, Grad-CAM, ICCV (arXiv:1610.02391)",
        ),
    ]
