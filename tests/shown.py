"""What can be read off axes."""


def colours(bars):
    return [bar.get_facecolor() for bar in bars]


def tick_names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]
