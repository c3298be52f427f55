"""The validation sets: folder under --dataset-dir, files, repetitions in an evaluation, and where a user gets them."""

VALIDATION_SETS = {
    "kodak": {
        "folder": "kodak",
        "pattern": "*.png",
        "repeats": 10,
        "source": "python download_kodak.py --output-dir DATASET_DIR/kodak",
    },
    "bsd300": {
        "folder": "BSDS300/images/test",
        "pattern": "*.jpg",
        "repeats": 3,
        "source": "BSDS300-images.tgz of the Berkeley Segmentation Dataset and Benchmark, extracted in DATASET_DIR",
    },
    "set14": {
        "folder": "Set14",
        "pattern": "*.png",
        "repeats": 20,
        "source": "Set14 out of SR_testing_datasets.zip of the LapSRN project page, extracted in DATASET_DIR",
    },
}
