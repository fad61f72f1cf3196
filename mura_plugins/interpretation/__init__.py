"""The built-in explainers, one method per file.

Guided variants (guided backpropagation, guided Grad-CAM) are not included: their maps don't change
when the network's weights are replaced with random ones (Adebayo et al. 2018, arXiv:1810.03292).
"""

from mura_plugins import Explainer, hookimpl


@hookimpl
def mura_explainers() -> list[Explainer]:
    """Return the built-in explainers."""
    return [
        Explainer(
            name="gradcam",
            explain="mura_plugins.interpretation.gradcam:explain",
            summary="Last features weighted by the mean gradient of each channel.",
            reference="Selvaraju et al. 2017, ICCV (arXiv:1610.02391)",
        ),
        Explainer(
            name="cam",
            explain="mura_plugins.interpretation.cam:explain",
            summary="Exact, for networks that end in global average pooling and one unit.",
            reference="Zhou et al. 2016, CVPR (arXiv:1512.04150)",
        ),
        Explainer(
            name="cells",
            explain="mura_plugins.interpretation.cells:explain",
            summary="The network's own cell map, trained on boxes of findings.",
            reference="docs/training.md",
        ),
        Explainer(
            name="gradcam++",
            explain="mura_plugins.interpretation.gradcam_plus_plus:explain",
            summary="Grad-CAM with gradients weighted by position, for several findings.",
            reference="Chattopadhyay et al. 2018, WACV (arXiv:1710.11063)",
        ),
        Explainer(
            name="hirescam",
            explain="mura_plugins.interpretation.hirescam:explain",
            summary="Last features multiplied by their gradients at each position.",
            reference="Draelos and Carin 2020 (arXiv:2011.08891)",
        ),
        Explainer(
            name="layercam",
            explain="mura_plugins.interpretation.layercam:explain",
            summary="Like hirescam, without negative gradients.",
            reference="Jiang et al. 2021, IEEE Transactions on Image Processing 30",
        ),
        Explainer(
            name="scorecam",
            explain="mura_plugins.interpretation.scorecam:explain",
            summary="Features weighted by the logit of the image masked with them; slow.",
            reference="Wang et al. 2020, CVPR workshops (arXiv:1910.01279)",
        ),
        Explainer(
            name="integrated-gradients",
            explain="mura_plugins.interpretation.integrated_gradients:explain",
            summary="Each pixel's contribution to the logit, compared with the mean image.",
            reference="Sundararajan, Taly and Yan 2017, ICML (arXiv:1703.01365)",
            signed=True,
        ),
        Explainer(
            name="smoothgrad",
            explain="mura_plugins.interpretation.smoothgrad:explain",
            summary="Sensitivity of the logit to each pixel, averaged over noisy copies.",
            reference="Smilkov et al. 2017 (arXiv:1706.03825)",
            stochastic=True,
        ),
        Explainer(
            name="occlusion",
            explain="mura_plugins.interpretation.occlusion:explain",
            summary="Decrease of the logit when a region is hidden; slow.",
            reference="Zeiler and Fergus 2014, ECCV (arXiv:1311.2901)",
            signed=True,
        ),
        Explainer(
            name="rise",
            explain="mura_plugins.interpretation.rise:explain",
            summary="Mean logit over random masks that show a pixel; slow.",
            reference="Petsiuk, Das and Saenko 2018, BMVC (arXiv:1806.07421)",
            signed=True,
            stochastic=True,
        ),
    ]
