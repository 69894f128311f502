"""One YAML file describes a whole run; every stage reads its own section of it.

Unknown keys are refused. Relative paths are relative to the folder that the command runs in. No
secrets: the SDKs of the teachers read keys from the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, field_validator, model_validator

from training.recipe_sources import Collect, Section

Target = Literal["teacher", "human", "decision"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Run(Section):
    """What the run is called and where it goes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    output: Path
    """Folder of the run; each stage writes to its own folder in it."""
    seed: int = Field(42, ge=0)
    """Of every random choice: sampling of papers, split, training, bootstrap."""


class Model(Section):
    """The model that is trained."""

    base: str = Field(min_length=1)
    """A hub id, a folder, or `smollm2` for the service's embedded CPU model."""
    revision: str | None = None
    """Of the hub id: a commit, tag or branch. None is its newest."""


class Teach(Section):
    """Who writes the reviews to learn from. Keys come from the environment."""

    provider: Literal["google", "openai", "stub"]
    """`google`: Gemini on Vertex AI. `openai`: any OpenAI-compatible endpoint. `stub`: made-up
    reviews from a local server, to try the pipeline at no cost."""
    model: str = Field(min_length=1)
    base_url: str | None = None
    """The endpoint; None is the SDK's own, or what its environment variable says."""
    project: str | None = None
    """Google Cloud project. None: `GOOGLE_CLOUD_PROJECT`."""
    location: str | None = None
    """Region of Vertex AI. None: `GOOGLE_CLOUD_LOCATION`, or `global`, where alone Gemini 3 is."""
    temperature: float = Field(0.3, ge=0, le=2)
    """An endpoint that refuses it is asked without."""
    max_output_tokens: int = Field(8192, ge=1)
    """Of one review, the teacher's thinking included."""
    thinking_budget: int | None = Field(None, ge=0)
    """Tokens of thinking, for Gemini that takes a budget."""
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    """For newer Gemini; an OpenAI-compatible teacher gets it as `reasoning_effort`."""
    prompt_tokens: int | None = Field(None, ge=512)
    """Budget of a prompt, counted with the base model's tokenizer and cut as the service cuts.
    None: what the student has, `sft.max_length` less room for a review. Never more: a teacher that
    read on would teach claims about what the student can't see."""
    concurrency: int = Field(8, ge=1)
    """Requests under way at the same time."""
    attempts: int = Field(6, ge=1)
    """Tries of one request, the first included, at 408, 429, 5xx and cut connections."""
    first_delay_s: float = Field(1.0, ge=0)
    """Before the second try, in seconds; each later one waits twice as long, with jitter."""
    longest_delay_s: float = Field(60.0, ge=0)
    timeout_s: float = Field(300.0, gt=0)
    """Of one try, in seconds."""
    usd_per_million_in: float | None = Field(None, ge=0)
    """Price of a million prompt tokens, for the running cost."""
    usd_per_million_out: float | None = Field(None, ge=0)
    """Price of a million tokens written, thinking included."""
    most: int | None = Field(None, ge=1)
    """Most papers to ask for, the first ones. None: all."""

    @model_validator(mode="after")
    def _one_way_to_think(self) -> Self:
        if self.thinking_budget is not None and self.thinking_level is not None:
            raise ValueError("thinking_budget and thinking_level: either, never both")
        if self.thinking_budget is not None and self.provider != "google":
            raise ValueError("thinking_budget is Gemini's: thinking_level suits other teachers")
        return self


class Filter(Section):
    """Which reviews become targets."""

    targets: tuple[Target, ...] = Field(("teacher",), min_length=1)
    """`human` maps the reviews that came with the papers to the review's format, by rules.
    `decision` is a verdict line alone, the venue's: what `mode: verdict` reads. One or a list."""
    val_fraction: float | None = Field(None, gt=0, lt=1)
    """Part of the papers, not of the reviews, that is held back to validate. None: the papers that
    `collect` marks as `val` or `dev`."""
    balance: bool = False
    """Drop surplus reviews of the commoner decision, down to 1:1."""
    reviews_per_paper: int | None = Field(None, ge=1)
    """Most human reviews of one paper, the longest first. None: all that pass."""
    least_words: int = Field(80, ge=1)
    """Shortest human review, once mapped, in words."""
    most_words: int | None = Field(None, ge=1)
    """Longest review, in words. The service stops a review at 1400 tokens, about 1000 words. None:
    no limit."""

    @field_validator("targets", mode="before")
    @classmethod
    def _one_is_a_list(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given


class Sft(Section):
    """LoRA on the language model."""

    backend: Literal["auto", "unsloth", "trl"] = "auto"
    """`auto`: Unsloth where it and CUDA are there, TRL + PEFT elsewhere."""
    lora_rank: int = Field(32, ge=1)
    lora_alpha: int = Field(64, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str = (
        r"(.*language_model|model)\.layers\.\d+\.(self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj"
    )
    """Regular expression of the layers that get an adapter, matched against their whole names: all
    linear projections of the language model. `model.layers` is where a model without vision and
    audio towers has them; a multimodal one has its towers' layers elsewhere."""
    epochs: float = Field(5.0, gt=0)
    max_steps: int | None = Field(None, ge=1)
    """Steps after which training ends, if sooner than the epochs. None: no limit."""
    learning_rate: float = Field(2e-5, gt=0)
    """At its highest."""
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    """Part of all steps in which the learning rate rises."""
    batch_size: int = Field(1, ge=1)
    """Rows of one forward pass on one device."""
    gradient_accumulation: int = Field(8, ge=1)
    """Forward passes of one step: the effective batch is this times `batch_size`."""
    optimizer: str = "adamw_8bit"
    """As transformers' `TrainingArguments.optim` names it."""
    load_in_4bit: bool = False
    """The base in 4 bit while it is trained. The adapter is merged into the whole one."""
    four_bit_base: str | None = None
    """With Unsloth: the hub id or folder of a 4-bit copy of the base, where `model.base` is a
    folder. A base named by its hub id has one that Unsloth finds by itself; a folder without one is
    quantized to plain NF4, every layer alike."""
    max_length: int = Field(8192, ge=512)
    """Tokens of prompt and review together. The paper's body is cut to it, the review never."""
    gradient_checkpointing: bool = True
    save_steps: int = Field(50, ge=1)
    """Steps between checkpoints that a killed run resumes from."""
    highest_first_loss: float = Field(10.0, gt=0)
    """A training whose first step has a higher loss is stopped. A model that knows nothing has
    ln(vocabulary): 12.5 for Gemma 4, 10.8 for SmolLM2. The published run began at 9.52."""


class Merge(Section):
    """The adapter goes into the base, and the saved copy is compared with base + adapter."""

    probes: int = Field(8, ge=1)
    """Validation rows that both are compared on."""
    probe_tokens: int = Field(512, ge=16)
    """Most tokens of such a row. A longer one's middle is left out; its second half, at most, is
    the review, whose tokens are what is compared."""
    kl_limit: float = Field(4.0, gt=0)
    """Highest mean KL divergence of the copy from base + adapter, in multiples of the noise floor,
    which the same run measures: that of base + adapter in bfloat16."""
    kl_share: float = Field(0.05, ge=0, lt=1)
    """Or in parts of the divergence that the base has without its adapter, where that allows more:
    what an adapter changes is finer than bfloat16's steps and is rounded in proportion to it. Sound
    merges had 0.03, a lost adapter has 1, one merged at half its scale about 0.25."""
    vllm: bool = True
    """Compare greedy answers with vLLM's, too, where it is installed."""
    greedy_tokens: int = Field(32, ge=1)
    """Tokens of each such answer."""


class Label(Section):
    """What counts as the truth about a paper. A paper without it is left out of the figures."""

    source: Literal["official", "rating"] = "official"
    """`official`: the venue's decision. `rating`: the mean of the human ratings."""
    thresholds: dict[str, float] = {}  # noqa: RUF012  # pydantic copies it
    """With `rating`: for each venue, the mean from which a paper counts as accepted, on the venue's
    own scale."""

    @model_validator(mode="after")
    def _thresholds_with_rating(self) -> Self:
        if (self.source == "rating") != bool(self.thresholds):
            raise ValueError("thresholds go with source 'rating', and only with it")
        return self


class Reviewing(Section):
    """How papers are reviewed by the service's engine and code."""

    mode: Literal["review", "verdict"] = "review"
    """As the service's `mode`: `verdict` writes no reviews, and reads their verdicts alone."""
    format: Literal["structured", "free"] = "structured"
    """As the service's `format`, whose default is this, too. `free` is how the published model was
    measured by its makers."""
    temperature: float = Field(0.2, ge=0, le=2)
    top_p: float = Field(0.9, gt=0, le=1)
    max_tokens: int = Field(1400, ge=1)
    """Of one review."""
    max_model_len: int = Field(12288, ge=1024)
    """Tokens of prompt and review together."""
    prompt_tokens: int | None = Field(None, ge=512)
    """Upper limit of a prompt in tokens. None: what `max_model_len` leaves beside the review."""
    samples: int = Field(1, ge=1, le=16)
    """Reviews of one paper; the probability is their mean. 1 in mode `verdict`."""
    concurrency: int = Field(16, ge=1)
    """Papers under way at the same time."""
    most: int | None = Field(None, ge=1)
    """Most papers, the first ones. None: all."""
    label: Label = Label()

    @model_validator(mode="after")
    def _verdicts_have_no_samples(self) -> Self:
        if self.mode == "verdict" and self.samples > 1:
            raise ValueError("samples above 1 go with mode 'review'")
        return self


class Benchmark(Reviewing):
    """Reviews of the papers in `collect.benchmark`, by the service's engine and code."""

    name: str = Field("peerread", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Beginning of the files' names: `peerread_ft_full.jsonl`."""
    models: tuple[Literal["tuned", "base"], ...] = Field(("tuned", "base"), min_length=1)
    """`tuned`: what merge made. `base`: `model.base`."""
    upstream_url: HttpUrl | None = None
    """An OpenAI-compatible server, up to and including its `/v1`, that runs the model in place of
    this machine; then `models` names one."""
    upstream_model: str = "auto"
    """As the upstream calls it. `auto`: the first model that it lists."""
    baselines_from: Literal["benchmark", "train"] = "benchmark"
    """What length-only and bag-of-words are fitted to: the benchmark's own papers, words by
    cross-validation; or the papers that collect gathered to train on."""
    base_read_until: int | None = Field(None, ge=1900)
    """Last year whose papers, reviews and decisions the base may have read, by its makers' word.
    None: unknown."""
    bootstrap: int = Field(2000, ge=100)
    """Resamples of the papers behind each interval."""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Coverage of each interval."""
    length_classes: int = Field(10, ge=1)
    """Classes of about as many papers each that lengths are matched by."""

    @model_validator(mode="after")
    def _an_upstream_runs_one_model(self) -> Self:
        if self.upstream_url is not None and len(self.models) != 1:
            raise ValueError("an upstream_url runs one model: name it in models")
        return self


class Calibrate(Reviewing):
    """A map from the model's probability to the measured one, fitted on the validation split."""

    method: Literal["platt", "temperature", "isotonic"] = "platt"
    """`temperature` has no bias: a model that accepts nine papers of ten, where half were accepted,
    it can only bring to 0.5. It is refused where the fit says that a bias is needed."""
    coverages: tuple[Probability, ...] = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
    """Shares of papers decided on, for the table of the abstain band."""
    folds: int = Field(5, ge=2)
    """Of the cross-validation behind the figures "after"; fewer where a class has fewer papers."""
    target_precision: float = Field(0.8, gt=0, le=1)
    """Share of decisions that are to be right: what the suggested abstain band is to reach."""
    bootstrap: int = Field(2000, ge=100)
    """As the benchmark's."""
    confidence: float = Field(0.95, gt=0, lt=1)


class Card(Section):
    """The model card."""

    title: str = Field(min_length=1)
    license: str = "gemma"
    """As Hugging Face names licences."""
    license_file: Path | None = None
    """The licence's text, for the folder to upload. None: what the base comes with."""
    language: str = "en"
    tags: tuple[str, ...] = ("peer-review", "scientific-papers")


class Recipe(Section):
    """A whole run."""

    run: Run
    model: Model
    collect: Collect
    teach: Teach | None = None
    """None: no teacher; then `filter.targets` are others."""
    filter: Filter
    sft: Sft = Sft()
    merge: Merge = Merge()
    benchmark: Benchmark = Benchmark()
    calibrate: Calibrate = Calibrate()
    card: Card

    @model_validator(mode="after")
    def _targets_have_a_teacher(self) -> Self:
        if self.teach is None and "teacher" in self.filter.targets:
            raise ValueError("filter.targets has 'teacher', but there is no teach")
        return self

    @model_validator(mode="after")
    def _measured_as_calibrated(self) -> Self:
        one, other = self.benchmark, self.calibrate
        if one.mode == other.mode == "review" and one.format != other.format:
            raise ValueError(
                f"benchmark.format is {one.format!r} and calibrate.format {other.format!r}: a "
                "calibration is that of one format"
            )
        return self

    @model_validator(mode="after")
    def _the_teacher_sees_what_the_student_sees(self) -> Self:
        given = self.teach.prompt_tokens if self.teach else None
        if given is not None and given > self.sft.max_length:
            raise ValueError(
                f"teach.prompt_tokens {given} is above sft.max_length {self.sft.max_length}: the "
                "teacher would speak of what the student can't see"
            )
        return self

    @property
    def teacher_prompt_tokens(self) -> int:
        """See :attr:`Teach.prompt_tokens`."""
        given = self.teach.prompt_tokens if self.teach else None
        room = min(self.benchmark.max_tokens, self.sft.max_length // 4)
        return given or self.sft.max_length - room

    def folder(self, stage: str) -> Path:
        """Where a stage writes."""
        return self.run.output / stage
