"""Recipes: the packaged MTAs that the suite knows how to run, each in a file of its own."""

from typing import Final

from conformance.profiles.recipe import Recipe
from conformance.profiles.recipes_deb import EXIM, OPENSMTPD, POSTFIX, SENDMAIL
from conformance.profiles.recipes_more import AIOSMTPD, CHASQUID, COURIER, HARAKA

RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in (POSTFIX, EXIM, OPENSMTPD, SENDMAIL, HARAKA, AIOSMTPD, CHASQUID, COURIER)}
