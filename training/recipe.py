"""The schema of a recipe, the YAML file that describes a whole run; each stage has a section.

Unknown keys are refused. Relative paths are relative to the working directory. A recipe contains no
secrets: the teachers' SDKs read their keys from the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, field_validator, model_validator

from training.recipe_sources import Collect, Section

Target = Literal["teacher", "human", "decision"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Run(Section):
    """The run's name and output folder."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    output: Path
    """Folder of the run. Each stage writes to a subfolder."""
    seed: int = Field(42, ge=0)
    """Seed of all random choices: sampling of papers, split, training, bootstrap."""


class Model(Section):
    """The model that is trained."""

    base: str = Field(min_length=1)
    """A hub id, a folder, or `smollm2` for the tests' model."""
    revision: str | None = None
    """A commit, tag or branch on the hub. None: the newest."""


class Teach(Section):
    """The teacher model, which writes the reviews to train on. Keys come from the environment."""

    provider: Literal["google", "openai", "stub"]
    """`google`: Gemini on Vertex AI. `openai`: any OpenAI-compatible endpoint. `stub`: made-up
    reviews from a local server, to try the pipeline at no cost."""
    model: str = Field(min_length=1)
    base_url: str | None = None
    """The endpoint. None: the SDK's environment variable, or its default."""
    project: str | None = None
    """Google Cloud project. None: `GOOGLE_CLOUD_PROJECT`."""
    location: str | None = None
    """Region of Vertex AI. None: `GOOGLE_CLOUD_LOCATION`, or `global` (the only one with Gemini 3).
    """
    temperature: float = Field(0.3, ge=0, le=2)
    """Left out of the request if the endpoint refuses it."""
    max_output_tokens: int = Field(8192, ge=1)
    """Maximum tokens of one review, including the teacher's thinking."""
    thinking_budget: int | None = Field(None, ge=0)
    """Maximum tokens of thinking, for Gemini models with a budget."""
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    """For newer Gemini models; sent to an OpenAI-compatible endpoint as `reasoning_effort`."""
    prompt_tokens: int | None = Field(None, ge=512)
    """Maximum tokens of a prompt, counted with the base model's tokenizer; a longer paper is cut as
    in the service. None: the student's budget, `sft.max_length` minus room for a review. It can't
    be larger: the teacher would make claims about text that the student does not see."""
    concurrency: int = Field(8, ge=1)
    """Number of requests in flight."""
    attempts: int = Field(6, ge=1)
    """Attempts of one request, including the first, after 408, 429, 5xx and lost connections."""
    first_delay_s: float = Field(1.0, ge=0)
    """Seconds before the second attempt; each later delay is twice as long, with jitter."""
    longest_delay_s: float = Field(60.0, ge=0)
    timeout_s: float = Field(300.0, gt=0)
    """Seconds for one attempt."""
    usd_per_million_in: float | None = Field(None, ge=0)
    """Price of a million prompt tokens, to show the cost."""
    usd_per_million_out: float | None = Field(None, ge=0)
    """Price of a million generated tokens, including thinking."""
    most: int | None = Field(None, ge=1)
    """Maximum number of papers; the first ones are used. None: all."""

    @model_validator(mode="after")
    def _one_thinking_option(self) -> Self:
        if self.thinking_budget is not None and self.thinking_level is not None:
            raise ValueError("thinking_budget and thinking_level can't both be set")
        if self.thinking_budget is not None and self.provider != "google":
            raise ValueError("thinking_budget is only for Gemini; use thinking_level")
        return self


class Filter(Section):
    """Which reviews become targets."""

    targets: tuple[Target, ...] = Field(("teacher",), min_length=1)
    """`teacher`: the teacher's reviews. `human`: the papers' own reviews, converted to the review
    format by rules. `decision`: only a verdict line with the venue's decision, for `mode: verdict`.
    One of them or a list."""
    val_fraction: float | None = Field(None, gt=0, lt=1)
    """Share of the papers (not of the reviews) for validation. None: the papers that `collect`
    marks as `val` or `dev`."""
    balance: bool = False
    """Drop reviews of the more frequent decision until both are equally frequent."""
    reviews_per_paper: int | None = Field(None, ge=1)
    """Maximum number of human reviews per paper, longest first. None: all."""
    least_words: int = Field(80, ge=1)
    """Minimum length of a human review after conversion, in words."""
    most_words: int | None = Field(None, ge=1)
    """Maximum length of a review, in words. The service stops a review at 1400 tokens, about 1000
    words. None: no limit."""

    @field_validator("targets", mode="before")
    @classmethod
    def _list_of_targets(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Sft(Section):
    """LoRA on the language model."""

    backend: Literal["auto", "unsloth", "trl"] = "auto"
    """`auto`: Unsloth if it is installed and there is CUDA, otherwise TRL + PEFT."""
    lora_rank: int = Field(32, ge=1)
    lora_alpha: int = Field(64, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str = (
        r"(.*language_model|model)\.layers\.\d+\.(self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj"
    )
    """Regular expression for the whole names of the layers that get an adapter. The default matches
    all linear projections of the language model, in text-only (`model.layers`) and multimodal
    models (`...language_model.layers`), but not those of vision and audio towers."""
    epochs: float = Field(5.0, gt=0)
    max_steps: int | None = Field(None, ge=1)
    """Maximum number of steps, if the epochs have more. None: no limit."""
    learning_rate: float = Field(2e-5, gt=0)
    """The peak learning rate."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    """Share of all steps in which the learning rate increases."""
    batch_size: int = Field(1, ge=1)
    """Rows per forward pass and device."""
    gradient_accumulation: int = Field(8, ge=1)
    """Forward passes per step; the effective batch size is this times `batch_size`."""
    optimizer: str = "adamw_8bit"
    """A value of transformers' `TrainingArguments.optim`."""
    load_in_4bit: bool = False
    """Train with the base in 4 bit. The adapter is merged into the full-precision base."""
    four_bit_base: str | None = None
    """For Unsloth, if `model.base` is a folder: the hub id or folder of a 4-bit copy of the base.
    For a hub id, Unsloth finds the copy itself; a folder without a copy is quantized to NF4, all
    layers in the same way."""
    max_length: int = Field(8192, ge=512)
    """Maximum tokens of prompt and review together; only the paper's body is cut to fit."""
    gradient_checkpointing: bool = True
    save_steps: int = Field(50, ge=1)
    """Steps between checkpoints, from which a killed run resumes."""
    highest_first_loss: float = Field(10.0, gt=0)
    """Training stops if the first step's loss is higher. A randomly initialised model has a loss of
    ln(vocabulary size): 12.5 for Gemma 4, 10.8 for SmolLM2. The published run began at 9.52."""


class Merge(Section):
    """Merging the adapter, and the comparison of the saved model with base + adapter."""

    probes: int = Field(8, ge=1)
    """Number of validation rows for the comparison."""
    probe_tokens: int = Field(512, ge=16)
    """Maximum tokens of such a row. The middle of a longer one is left out. At most half of the
    tokens are the review, at whose positions the distributions are compared."""
    kl_limit: float = Field(4.0, gt=0)
    """Maximum mean KL divergence of the saved model from base + adapter, in multiples of the noise
    floor, the divergence of base + adapter in bfloat16, which is measured in the same run."""
    kl_share: float = Field(0.05, ge=0, lt=1)
    """An alternative, higher maximum: a share of the divergence of the base without its adapter. An
    adapter's changes are smaller than bfloat16's steps, so rounding grows with them. Correct merges
    had 0.03; a missing adapter has 1, one merged at half its scale about 0.25."""
    vllm: bool = True
    """Also compare greedy answers with vLLM's, if it is installed."""
    greedy_tokens: int = Field(32, ge=1)
    """Tokens of each greedy answer."""


class Label(Section):
    """The papers' labels. Papers without a label do not count in the metrics."""

    source: Literal["official", "rating"] = "official"
    """`official`: the venue's decision. `rating`: the mean of the human ratings."""
    thresholds: dict[str, float] = {}  # noqa: RUF012  # pydantic copies it
    """For `rating`: the mean rating from which a paper counts as accepted, for each venue and on
    its own scale."""

    @model_validator(mode="after")
    def _thresholds_with_rating(self) -> Self:
        if (self.source == "rating") != bool(self.thresholds):
            raise ValueError("source 'rating' needs thresholds, and no other source takes them")
        return self


class Reviewing(Section):
    """How papers are reviewed with the service's engine and code."""

    mode: Literal["review", "verdict"] = "review"
    """The service's `mode`. `verdict` generates no reviews, only the probability of acceptance."""
    format: Literal["structured", "free"] = "structured"
    """The service's `format`, with the same default. The authors of the published model measured it
    with `free`."""
    temperature: float = Field(0.2, ge=0, le=2)
    top_p: float = Field(0.9, gt=0, le=1)
    max_tokens: int = Field(1400, ge=1)
    """Maximum tokens of one review."""
    max_model_len: int = Field(12288, ge=1024)
    """Maximum tokens of prompt and review together."""
    prompt_tokens: int | None = Field(None, ge=512)
    """Maximum tokens of a prompt. None: `max_model_len` minus `max_tokens`."""
    samples: int = Field(1, ge=1, le=16)
    """Reviews per paper; the probability is their mean. Must be 1 in mode `verdict`."""
    concurrency: int = Field(16, ge=1)
    """Number of papers reviewed at the same time."""
    most: int | None = Field(None, ge=1)
    """Maximum number of papers; the first ones are used. None: all."""
    label: Label = Label()

    @model_validator(mode="after")
    def _verdicts_have_no_samples(self) -> Self:
        if self.mode == "verdict" and self.samples > 1:
            raise ValueError("samples above 1 need mode 'review'")
        return self


class Benchmark(Reviewing):
    """Reviews of the papers in `collect.benchmark`, with the service's engine and code."""

    name: str = Field("peerread", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Prefix of the file names, as in `peerread_ft_full.jsonl`."""
    models: tuple[Literal["tuned", "base"], ...] = Field(("tuned", "base"), min_length=1)
    """`tuned`: the merged model. `base`: `model.base`."""
    upstream_url: HttpUrl | None = None
    """URL, including `/v1`, of an OpenAI-compatible server that runs the model instead of this
    machine. `models` must then name one model."""
    upstream_model: str = "auto"
    """The model's name on the upstream. `auto`: the first model that it lists."""
    baselines_from: Literal["benchmark", "train"] = "benchmark"
    """The papers to which length-only and bag-of-words are fitted. `benchmark`: the benchmark's own
    (the bag of words with cross-validation). `train`: the papers collected for training."""
    base_read_until: int | None = Field(None, ge=1900)
    """Last year of the base model's training data, as stated by its authors. Papers up to then may
    be in it with their reviews and decisions. None: unknown."""
    bootstrap: int = Field(2000, ge=100)
    """Number of bootstrap resamples behind each confidence interval."""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Coverage of each confidence interval."""
    length_classes: int = Field(10, ge=1)
    """Number of length classes, of about the same number of papers, for length-matched AUROC."""

    @model_validator(mode="after")
    def _an_upstream_runs_one_model(self) -> Self:
        if self.upstream_url is not None and len(self.models) != 1:
            raise ValueError("with upstream_url, models must name exactly one model")
        return self


class Calibrate(Reviewing):
    """Calibration of the model's probability, fitted on the validation split."""

    method: Literal["platt", "temperature", "isotonic"] = "platt"
    """`temperature` has no bias: it can only move probabilities towards or away from 0.5. It is
    refused if the fit needs a bias."""
    coverages: tuple[Probability, ...] = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
    """Shares of decided papers, for the table of abstain bands."""
    folds: int = Field(5, ge=2)
    """Folds of the cross-validation for the metrics "after"; fewer if a class has fewer papers."""
    target_precision: float = Field(0.8, gt=0, le=1)
    """Share of correct decisions that the suggested abstain band must reach."""
    bootstrap: int = Field(2000, ge=100)
    """Number of bootstrap resamples behind each confidence interval."""
    confidence: float = Field(0.95, gt=0, lt=1)


class Card(Section):
    """The model card."""

    title: str = Field(min_length=1)
    license: str = "gemma"
    """Licence identifier of Hugging Face."""
    license_file: Path | None = None
    """File with the licence text, for the upload. None: the base model's licence file."""
    language: str = "en"
    tags: tuple[str, ...] = ("peer-review", "scientific-papers")


class Recipe(Section):
    """A whole run."""

    run: Run
    model: Model
    collect: Collect
    teach: Teach | None = None
    """None: no teacher; `filter.targets` must then not contain `teacher`."""
    filter: Filter
    sft: Sft = Sft()
    merge: Merge = Merge()
    benchmark: Benchmark = Benchmark()
    calibrate: Calibrate = Calibrate()
    card: Card

    @model_validator(mode="after")
    def _targets_have_a_teacher(self) -> Self:
        if self.teach is None and "teacher" in self.filter.targets:
            raise ValueError("filter.targets has 'teacher', but there is no section 'teach'")
        return self

    @model_validator(mode="after")
    def _same_format(self) -> Self:
        one, other = self.benchmark, self.calibrate
        if one.mode == other.mode == "review" and one.format != other.format:
            raise ValueError(
                f"benchmark.format is {one.format!r} and calibrate.format {other.format!r}: a "
                "calibration is valid for one format only"
            )
        return self

    @model_validator(mode="after")
    def _teacher_prompt_fits_student(self) -> Self:
        tokens = self.teach.prompt_tokens if self.teach else None
        if tokens is not None and tokens > self.sft.max_length:
            raise ValueError(
                f"teach.prompt_tokens {tokens} is above sft.max_length {self.sft.max_length}: the "
                "teacher would make claims about text that the student does not see"
            )
        return self

    @property
    def teacher_prompt_tokens(self) -> int:
        """See :attr:`Teach.prompt_tokens`."""
        tokens = self.teach.prompt_tokens if self.teach else None
        review_tokens = min(self.benchmark.max_tokens, self.sft.max_length // 4)
        return tokens or self.sft.max_length - review_tokens

    def folder(self, stage: str) -> Path:
        """The output folder of a stage."""
        return self.run.output / stage
