"""Languages by their codes of ISO 639 (https://www.loc.gov/standards/iso639-2/): a model understands a name better than a code."""

from __future__ import annotations

import re

_TABLE = """
aa=Afar ab=Abkhazian af=Afrikaans ak=Akan am=Amharic an=Aragonese ar=Arabic as=Assamese av=Avaric ay=Aymara az=Azerbaijani
ba=Bashkir be=Belarusian bg=Bulgarian bi=Bislama bm=Bambara bn=Bengali bo=Tibetan br=Breton bs=Bosnian ca=Catalan ce=Chechen
ch=Chamorro co=Corsican cr=Cree cs=Czech cv=Chuvash cy=Welsh da=Danish de=German dv=Dhivehi dz=Dzongkha ee=Ewe el=Greek en=English
eo=Esperanto es=Spanish et=Estonian eu=Basque fa=Persian ff=Fulah fi=Finnish fj=Fijian fo=Faroese fr=French fy=Frisian ga=Irish
gd=Gaelic gl=Galician gn=Guarani gu=Gujarati gv=Manx ha=Hausa he=Hebrew hi=Hindi hr=Croatian ht=Haitian hu=Hungarian hy=Armenian
hz=Herero ia=Interlingua id=Indonesian ie=Interlingue ig=Igbo ik=Inupiaq io=Ido is=Icelandic it=Italian iu=Inuktitut ja=Japanese
jv=Javanese ka=Georgian kg=Kongo ki=Kikuyu kj=Kuanyama kk=Kazakh kl=Greenlandic km=Khmer kn=Kannada ko=Korean kr=Kanuri
ks=Kashmiri ku=Kurdish kv=Komi kw=Cornish ky=Kyrgyz la=Latin lb=Luxembourgish lg=Ganda li=Limburgish ln=Lingala lo=Lao
lt=Lithuanian lu=Luba-Katanga lv=Latvian mg=Malagasy mh=Marshallese mi=Maori mk=Macedonian ml=Malayalam mn=Mongolian mr=Marathi
ms=Malay mt=Maltese my=Burmese na=Nauru ne=Nepali ng=Ndonga nl=Dutch no=Norwegian nv=Navajo ny=Chichewa oc=Occitan oj=Ojibwa
om=Oromo or=Oriya os=Ossetian pa=Punjabi pi=Pali pl=Polish ps=Pashto pt=Portuguese qu=Quechua rm=Romansh rn=Rundi ro=Romanian
ru=Russian rw=Kinyarwanda sa=Sanskrit sc=Sardinian sd=Sindhi sg=Sango si=Sinhala sk=Slovak sl=Slovenian sm=Samoan sn=Shona
so=Somali sq=Albanian sr=Serbian ss=Swati su=Sundanese sv=Swedish sw=Swahili ta=Tamil te=Telugu tg=Tajik th=Thai ti=Tigrinya
tk=Turkmen tl=Tagalog tn=Tswana to=Tonga tr=Turkish ts=Tsonga tt=Tatar tw=Twi ty=Tahitian ug=Uyghur uk=Ukrainian ur=Urdu uz=Uzbek
ve=Venda vi=Vietnamese vo=Volapük wa=Walloon wo=Wolof xh=Xhosa yi=Yiddish yo=Yoruba za=Zhuang zh=Chinese zu=Zulu
"""

NAMES = dict(pair.split("=") for pair in _TABLE.split())
"""ISO 639-1 (two letters); names of one word, so that the table can be read."""

_BY_NAME = {name.casefold(): name for name in NAMES.values()}


def language_name(asked: str) -> str | None:
    """The language of a code (`de`, `deu`, and with a region, `pt-BR`), or of its English name, in words for a model; else None.

    A code of three letters, of which there are thousands, is passed on as a code.
    """
    found = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{2}|[A-Za-z]{4}|[0-9]{3}))?", asked.strip(), re.ASCII)
    if found is None or (found[1].casefold() not in NAMES and len(found[1]) == 2):
        return _BY_NAME.get(asked.strip().casefold())
    code, region = found[1].lower(), found[2]
    name = NAMES.get(code) or f"the language with the ISO 639 code {code}"
    return f"{name} (as in {region.upper()})" if region and len(region) == 2 else name
